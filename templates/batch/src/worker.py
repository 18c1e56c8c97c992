"""Many texts, answered in the background.

POST   /jobs      texts as lines of JSON, {"id": "...", "text": "..."} -> 202 {"job": "...", "status": "queued"}
GET    /jobs      all jobs
GET    /jobs/ID   one job, with its answers when it is done
DELETE /jobs/ID

The schedule of wrangler.toml collects the answers; so does asking for a job.
"""

import json
import uuid
from urllib.parse import urlsplit

from workers import Response, WorkerEntrypoint

MOST_TEXTS = 100  # of one job
LONGEST_TEXT = 2_000  # characters
KEPT = 7 * 24 * 3600  # seconds that a job stays in KV


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        parts = urlsplit(request.url).path.strip("/").split("/")
        match (request.method, parts):
            case "POST", ["jobs"]:
                return await self.start(await request.text())
            case "GET", ["jobs"]:
                return Response.json({"jobs": [summary(job) for job in await self.jobs()]})
            case "GET", ["jobs", id]:
                job = await self.read(f"job:{id}")
                if job is not None:
                    return Response.json(await self.collect(job))
            case "DELETE", ["jobs", id]:
                await self.env.JOBS.delete(f"job:{id}")
                return Response(None, status=204)
        return Response.json({"error": "There is nothing here."}, status=404)

    async def scheduled(self, controller, *_):
        for job in await self.jobs():
            await self.collect(job)

    async def start(self, lines):
        try:
            texts = read_texts(lines)
        except ValueError as error:
            return Response.json({"error": str(error)}, status=400)
        requests = [
            {
                "messages": [
                    {"role": "system", "content": self.env.INSTRUCTION},
                    {"role": "user", "content": each["text"]},
                ],
                "max_tokens": 60,
                "temperature": 0.1,
                "external_reference": each["id"],
            }
            for each in texts
        ]
        queued = await self.env.AI.run(self.env.CHAT_MODEL, {"requests": requests}, {"queueRequest": True})
        job = {"job": uuid.uuid4().hex, "status": "queued", "request_id": queued["request_id"], "texts": texts}
        await self.write(job)
        return Response.json(summary(job), status=202)

    async def collect(self, job):
        """Ask for the answers of a job that waits for them, and keep them. Return the job as it is now."""
        if job["status"] == "done":
            return job
        try:
            polled = await self.env.AI.run(self.env.CHAT_MODEL, {"request_id": job["request_id"]})
        except Exception as error:  # out of reach just now, or a batch so old that the queue has forgotten it
            return {**job, "error": str(error)}
        if "responses" not in polled:
            return {**job, "status": polled["status"]}
        job = {**job, "status": "done", "answers": answers(job["texts"], polled["responses"])}
        await self.write(job)
        return job

    async def jobs(self):
        found = await self.env.JOBS.list(prefix="job:")
        read = [await self.read(key["name"]) for key in found["keys"]]
        return [job for job in read if job is not None]

    async def read(self, key):
        text = await self.env.JOBS.get(key)
        return None if text is None else json.loads(text)

    async def write(self, job):
        await self.env.JOBS.put(f"job:{job['job']}", json.dumps(job), expirationTtl=KEPT)


def summary(job):
    return {"job": job["job"], "status": job["status"], "texts": len(job["texts"])}


def answers(texts, responses):
    """Bring the responses back to their texts: the queue answers in an order of its own."""
    found = {}
    for response in responses:
        done = response.get("success", True)
        found[response["external_reference"]] = response["result"]["response"].strip() if done else None
    return [{**each, "answer": found.get(each["id"])} for each in texts]


def read_texts(lines):
    """Return the texts of a request's body. Raises ValueError."""
    texts = []
    for number, line in enumerate(filter(str.strip, lines.splitlines()), start=1):
        try:
            given = json.loads(line)
            each = {"id": given["id"], "text": given["text"]}
        except (ValueError, TypeError, KeyError):
            raise ValueError(f'line {number} is not {{"id": ..., "text": ...}}') from None
        if not all(isinstance(value, str) and 0 < len(value) <= LONGEST_TEXT for value in each.values()):
            raise ValueError(f"line {number}: id and text are texts of 1 to {LONGEST_TEXT} characters")
        texts.append(each)
    if not 0 < len(texts) <= MOST_TEXTS:
        raise ValueError(f"send 1 to {MOST_TEXTS} lines, not {len(texts)}")
    if len({each["id"] for each in texts}) < len(texts):
        raise ValueError("two lines have the same id")
    return texts
