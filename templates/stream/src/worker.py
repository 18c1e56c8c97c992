"""Stream a model's answer.

GET /                   a page that shows the stream
GET /stream?prompt=...  Server-Sent Events: data: {"response": "..."} for each piece, at last data: [DONE]
"""

from urllib.parse import parse_qs, urlsplit

from page import PAGE
from workers import Response, WorkerEntrypoint

PAGE_HEADERS = {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'",
}
STREAM_HEADERS = {"content-type": "text/event-stream", "cache-control": "no-store"}
LONGEST_PROMPT = 2_000  # characters


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        url = urlsplit(request.url)
        if request.method != "GET" or url.path not in ("/", "/stream"):
            return Response.json({"error": "There is nothing here."}, status=404)
        if url.path == "/":
            return Response(PAGE, headers=PAGE_HEADERS)
        prompt = parse_qs(url.query).get("prompt", [""])[0].strip()
        if not 0 < len(prompt) <= LONGEST_PROMPT:
            return Response.json({"error": f"?prompt= takes 1 to {LONGEST_PROMPT} characters"}, status=400)
        # The stream of the model goes to the client as it is: the Worker holds no piece of it back.
        stream = await self.env.AI.run(
            self.env.CHAT_MODEL,
            {"messages": [{"role": "user", "content": prompt}], "max_tokens": 300, "temperature": 0.3, "stream": True},
        )
        return Response(stream, headers=STREAM_HEADERS)
