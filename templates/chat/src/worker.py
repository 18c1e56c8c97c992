"""A chat: the page at `/`, and the model's answers as they are written.

GET  /          the page
POST /api/chat  {"messages": [{"role": "user", "content": "Hello"}]} -> Server-Sent Events
"""

from urllib.parse import urlsplit

from page import PAGE
from workers import Response, WorkerEntrypoint

PAGE_HEADERS = {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'",
}
STREAM_HEADERS = {"content-type": "text/event-stream", "cache-control": "no-store"}
LONGEST_MESSAGE = 2_000  # characters
LONGEST_HISTORY = 3_000  # characters that the model is shown; of Chinese, a small model reads several tokens each


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        route = (request.method, urlsplit(request.url).path)
        if route == ("GET", "/"):
            return Response(PAGE, headers=PAGE_HEADERS)
        if route == ("POST", "/api/chat"):
            return await self.chat(request)
        return Response.json({"error": "There is nothing here."}, status=404)

    async def chat(self, request):
        messages = await read_messages(request)
        if messages is None:
            message = f'send {{"messages": [...]}} that ends with the user, of at most {LONGEST_MESSAGE} characters each'
            return Response.json({"error": message}, status=400)
        stream = await self.env.AI.run(
            self.env.CHAT_MODEL,
            {
                "messages": [{"role": "system", "content": self.env.SYSTEM_PROMPT}, *recent(messages)],
                "max_tokens": 400,
                "temperature": 0.3,
                "stream": True,
            },
        )
        return Response(stream, headers=STREAM_HEADERS)


async def read_messages(request):
    """Return the messages of a request, or None if they are no conversation."""
    try:
        messages = (await request.json())["messages"]
        conversation = [{"role": each["role"], "content": each["content"]} for each in messages]
    except Exception:  # whatever it is, it is the caller's mistake
        return None
    if not conversation or conversation[-1]["role"] != "user":
        return None
    return conversation if all(is_message(each) for each in conversation) else None


def is_message(message):
    content = message["content"]
    return message["role"] in ("user", "assistant") and isinstance(content, str) and 0 < len(content) <= LONGEST_MESSAGE


def recent(messages):
    """Return the end of the conversation, as much of it as the model is to read."""
    start, size = len(messages) - 1, len(messages[-1]["content"])
    while start > 0 and size + len(messages[start - 1]["content"]) <= LONGEST_HISTORY:
        start -= 1
        size += len(messages[start]["content"])
    return messages[start:]
