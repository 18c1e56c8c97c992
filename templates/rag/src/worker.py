"""Answer questions from the documents in the index.

GET  /?q=how+long+can+I+return+a+lamp
POST /  {"question": "..."}
"""

import hmac
from urllib.parse import parse_qs, urlsplit

from workers import Response, WorkerEntrypoint

INSTRUCTIONS = (
    "You answer questions of customers. Use only the numbered sources below and name the one you used, like [1]. "
    "If they do not hold the answer, say that you do not know. Answer in the language of the question.\n\n"
)
LONGEST_QUESTION = 2_000  # characters


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if not self.allowed(request):
            return Response.json({"error": "unauthorized"}, status=401)
        question = await read_question(request)
        if not question or len(question) > LONGEST_QUESTION:
            message = f"ask with ?q=... or with JSON {{\"question\": ...}} of at most {LONGEST_QUESTION} characters"
            return Response.json({"error": message}, status=400)

        sources = await self.search(question)
        if not sources:
            return Response.json({"answer": "I found nothing about this in the documents.", "sources": []})
        answer = await self.answer(question, sources)
        return Response.json({"answer": answer, "sources": sources})

    def allowed(self, request):
        """Tell whether the request may ask: always, unless the secret ACCESS_TOKEN is set."""
        token = getattr(self.env, "ACCESS_TOKEN", None)
        given = request.headers.get("Authorization") or ""
        return not token or hmac.compare_digest(given.encode(), f"Bearer {token}".encode())

    async def search(self, question):
        """Return the passages nearest to the question, best first."""
        embedded = await self.env.AI.run(self.env.EMBEDDING_MODEL, {"text": [question]})
        found = await self.env.VECTORS.query(
            embedded["data"][0], {"topK": int(self.env.TOP_K), "returnMetadata": "all"}
        )
        return [
            {
                "n": number,
                "file": match["metadata"]["file"],
                "heading": match["metadata"].get("heading", ""),
                "score": match["score"],
                "text": match["metadata"]["text"],
            }
            for number, match in enumerate(found["matches"], start=1)
        ]

    async def answer(self, question, sources):
        """Ask the chat model, with the passages as its only knowledge."""
        passages = "\n\n".join(f"[{s['n']}] {s['file']}: {s['heading']}\n{s['text']}" for s in sources)
        reply = await self.env.AI.run(
            self.env.CHAT_MODEL,
            {
                "messages": [
                    {"role": "system", "content": INSTRUCTIONS + passages},
                    {"role": "user", "content": question},
                ],
                "max_tokens": 300,
                "temperature": 0.2,
            },
        )
        return reply["response"]


async def read_question(request):
    """Return the question of a GET or POST request, or an empty text."""
    if request.method == "GET":
        return parse_qs(urlsplit(request.url).query).get("q", [""])[0].strip()
    if request.method != "POST":
        return ""
    try:
        body = await request.json()
    except Exception:  # malformed JSON is the caller's mistake, whatever the runtime calls it
        return ""
    question = body.get("question") if isinstance(body, dict) else None
    return question.strip() if isinstance(question, str) else ""
