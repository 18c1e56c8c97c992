// The Cache API's far side: what a Worker puts into its caches, in memory, until the Worker is loaded again. workerd asks
// by GET, stores by PUT, whose body is a whole response as HTTP/1.1 writes it, and deletes by PURGE.
const MIB = 1 << 20;
const LARGEST = 32 * MIB; // of one response, and
const TOTAL = 64 * MIB; // of all, with heads and names: those that were put first leave first
// https://developers.cloudflare.com/cache/how-to/configure-cache-status-code/ - without Cache-Control and Expires
const DEFAULT_SECONDS = { 200: 7200, 301: 7200, 302: 1200, 303: 1200, 404: 180, 410: 180 };

const stored = new Map();
let size = 0;

function remove(key) {
  const found = stored.get(key);
  if (found) size -= found.size;
  return stored.delete(key);
}

/** Read a response in the form of HTTP/1.1; null if it is none. */
function parse(bytes) {
  const text = new TextDecoder("latin1").decode(bytes.subarray(0, 256 << 10));
  const end = text.indexOf("\r\n\r\n");
  if (end < 0) return null; // a head longer than that
  const [first, ...lines] = text.slice(0, end).split("\r\n");
  const headers = lines.map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]);
  return { status: Number(first.split(" ")[1]), headers: new Headers(headers), body: bytes.slice(end + 4) };
}

/** Return for how many seconds a response may be kept, 0 if not at all. */
function lifetime({ status, headers }) {
  const said = (headers.get("cache-control") ?? "").toLowerCase();
  if (/no-store|no-cache|private(?!=)/.test(said)) return 0;
  if (headers.has("set-cookie") && !/private="?set-cookie/.test(said)) return 0;
  const age = /s-maxage="?(\d+)/.exec(said) ?? /max-age="?(\d+)/.exec(said);
  if (age) return Number(age[1]);
  if (headers.has("expires")) return (Date.parse(headers.get("expires")) - Date.now()) / 1000 || 0;
  return DEFAULT_SECONDS[status] ?? 0;
}

function isUnchanged(asked, headers) {
  const known = asked.get("if-none-match");
  if (known) {
    const etag = headers.get("etag")?.replace(/^W\//, "");
    return etag !== undefined && (known === "*" || known.split(",").some((each) => each.trim().replace(/^W\//, "") === etag));
  }
  return Date.parse(headers.get("last-modified")) <= Date.parse(asked.get("if-modified-since"));
}

function match(asked, { status, headers, body }) {
  const answer = new Headers(headers);
  answer.set("cf-cache-status", "HIT");
  if (isUnchanged(asked, headers)) return new Response(null, { status: 304, headers: answer });
  const range = /^bytes=(\d*)-(\d*)$/.exec(asked.get("range") ?? "");
  if (range && status === 200 && (range[1] || range[2])) {
    const length = body.byteLength;
    const start = range[1] ? Number(range[1]) : Math.max(length - Number(range[2]), 0);
    const end = range[1] && range[2] ? Math.min(Number(range[2]), length - 1) : length - 1;
    answer.set("content-range", start > end ? `bytes */${length}` : `bytes ${start}-${end}/${length}`);
    if (start > end) return new Response(null, { status: 416, headers: answer });
    return new Response(body.subarray(start, end + 1), { status: 206, headers: answer });
  }
  return new Response([101, 204, 205, 304].includes(status) ? null : body, { status, headers: answer });
}

export default {
  async fetch(request) {
    const key = JSON.stringify([request.headers.get("cf-cache-namespace"), request.cf?.cacheKey ?? request.url]);
    if (stored.get(key)?.until <= Date.now()) remove(key);
    if (request.method === "PURGE") return new Response(null, { status: remove(key) ? 200 : 404 });
    if (request.method === "PUT") {
      const bytes = new Uint8Array(await request.arrayBuffer());
      const response = bytes.byteLength > LARGEST ? null : parse(bytes);
      const seconds = response ? lifetime(response) : 0;
      if (seconds <= 0) return new Response(null, { status: 413 });
      remove(key);
      const entry = { ...response, until: Date.now() + seconds * 1000, size: bytes.byteLength + 2 * key.length + 1024 };
      stored.set(key, entry);
      size += entry.size;
      for (const oldest of stored.keys()) {
        if (size <= TOTAL) break;
        remove(oldest);
      }
      return new Response(null, { status: 204 });
    }
    const found = stored.get(key);
    return found ? match(request.headers, found) : new Response(null, { status: 504, headers: { "cf-cache-status": "MISS" } });
  },
};
