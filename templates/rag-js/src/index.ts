// Answer questions from the documents in the index.
//
// GET  /?q=how+long+can+I+return+a+lamp   the answer and its sources
// POST /  {"question": "..."}             the same
// GET  /search?q=...                      the sources only
// GET  /stream?q=...                      the answer as Server-Sent Events; the first event holds the sources

import { Hono } from "hono";

const INSTRUCTIONS =
  "You answer questions of customers. Use only the numbered sources below and name the one you used, like [1]. " +
  "If they do not hold the answer, say that you do not know. Answer in the language of the question.\n\n";
const LONGEST_QUESTION = 2_000; // characters
const NOTHING_FOUND = "I found nothing about this in the documents.";

type Source = { n: number; file: string; heading: string; score: number; text: string };

const app = new Hono<{ Bindings: Env; Variables: { question: string } }>();

app.on(["GET", "POST"], ["/", "/search", "/stream"], async (c, next) => {
  let question: unknown = c.req.query("q");
  if (c.req.method === "POST") {
    // Malformed JSON is the caller's mistake.
    const body: unknown = await c.req.json().catch(() => null);
    question = body !== null && typeof body === "object" && "question" in body ? body.question : undefined;
  }
  const text = typeof question === "string" ? question.trim() : "";
  if (!text || text.length > LONGEST_QUESTION) {
    const error = `ask with ?q=... or with JSON {"question": ...} of at most ${LONGEST_QUESTION} characters`;
    return c.json({ error }, 400);
  }
  c.set("question", text);
  return next();
});

app.on(["GET", "POST"], "/", async (c) => {
  const sources = await search(c.env, c.var.question);
  if (!sources.length) return c.json({ answer: NOTHING_FOUND, sources });
  const reply = await c.env.AI.run(c.env.CHAT_MODEL, prompt(c.var.question, sources));
  return c.json({ answer: (reply as { response: string }).response, sources });
});

app.get("/search", async (c) => c.json({ sources: await search(c.env, c.var.question) }));

app.get("/stream", async (c) => {
  const sources = await search(c.env, c.var.question);
  const first = new TextEncoder().encode(`data: ${JSON.stringify({ sources })}\n\n`);
  const asked = { ...prompt(c.var.question, sources), stream: true };
  const stream = (await c.env.AI.run(c.env.CHAT_MODEL, asked)) as unknown as ReadableStream;
  const { readable, writable } = new TransformStream();
  const writer = writable.getWriter();
  const sent = writer.write(first).then(() => writer.releaseLock()).then(() => stream.pipeTo(writable));
  c.executionCtx.waitUntil(sent.catch(() => {})); // a client that went away
  return c.body(readable, 200, { "content-type": "text/event-stream", "cache-control": "no-store" });
});

app.notFound((c) => c.json({ error: "There is nothing here." }, 404));

/** Return the passages nearest to the question, best first. */
async function search(env: Env, question: string): Promise<Source[]> {
  const embedded = (await env.AI.run(env.EMBEDDING_MODEL, { text: [question] })) as { data: number[][] };
  const found = await env.VECTORS.query(embedded.data[0], { topK: env.TOP_K, returnMetadata: "all" });
  return found.matches.map((match, place) => ({
    n: place + 1,
    file: String(match.metadata?.file),
    heading: String(match.metadata?.heading ?? ""),
    score: match.score,
    text: String(match.metadata?.text),
  }));
}

/** Return what the chat model is asked, with the passages as its only knowledge. */
function prompt(question: string, sources: Source[]) {
  const passages = sources.map((s) => `[${s.n}] ${s.file}: ${s.heading}\n${s.text}`).join("\n\n");
  return {
    messages: [
      { role: "system", content: INSTRUCTIONS + passages },
      { role: "user", content: question },
    ],
    max_tokens: 300,
    temperature: 0.2,
  };
}

export default app;
