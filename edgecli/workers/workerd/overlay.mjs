// The error of a broken save over the pages that the last good Worker goes on answering: workers/overlay.py, inside
// workerd. Both change answers in the same way.
export let overlay = null; // {html, header, style}
const taken = new WeakSet();
export const isBare = (request) => !taken.has(request);

export async function cover(told) {
  overlay = await told.json();
  return new Response(null, { status: 204 });
}

const withoutPage = [101, 204, 205, 206, 304];

function navigates({ method, headers }) {
  const where = headers.get("sec-fetch-dest");
  return method !== "HEAD" && (where ? where === "document" : (headers.get("accept") ?? "").includes("text/html"));
}

function isPage({ status, headers }) {
  if (withoutPage.includes(status) || headers.has("content-encoding")) return false;
  return (headers.get("content-type") ?? "").toLowerCase().startsWith("text/html");
}

function allowing(policy, source) {
  const directives = new Map();
  for (const [name, ...sources] of policy.split(";").map((each) => each.trim().split(/\s+/))) {
    if (!directives.has(name.toLowerCase())) directives.set(name.toLowerCase(), sources); // the first of a name holds
  }
  const held = ["style-src-elem", "style-src", "default-src"].map((name) => directives.get(name)).find(Boolean);
  if (!held || (held.includes("'unsafe-inline'") && !held.some((each) => /^'(nonce-|sha)/.test(each)))) return policy;
  const sources = held.filter((each) => each.toLowerCase() !== "'none'");
  return `style-src-elem ${[...sources, source].join(" ")}; ${policy.trim()}`;
}

// Not by pipeTo(), which workerd does not have between two of its own streams.
async function ended(body, html, writable) {
  const writer = writable.getWriter();
  const reader = body?.getReader();
  try {
    for (let piece; reader && !(piece = await reader.read()).done; ) await writer.write(piece.value);
    await writer.write(new TextEncoder().encode(html));
    await writer.close();
  } catch (error) {
    // The client has left, or the Worker's own stream has failed: as without a panel, the other side hears of it.
    await Promise.allSettled([reader?.cancel(error), writer.abort(error)]);
  }
}

export async function covered(request, ctx, asked) {
  const { html, header, style } = overlay;
  const isNavigation = navigates(request);
  if (isNavigation && (request.headers.has("if-none-match") || request.headers.has("if-modified-since"))) {
    request = new Request(request); // a 304 would show no panel
    request.headers.delete("if-none-match");
    request.headers.delete("if-modified-since");
  }
  taken.add(request);
  const answered = await asked(request);
  if (answered.webSocket) return answered;
  if (!isNavigation || !isPage(answered)) {
    const response = new Response(answered.body, answered);
    response.headers.set("x-edgecli-error", header);
    return response;
  }
  const { readable, writable } = new IdentityTransformStream();
  const response = new Response(readable, answered);
  response.headers.set("x-edgecli-error", header);
  response.headers.set("cache-control", "no-store");
  for (const name of ["content-length", "etag", "last-modified"]) response.headers.delete(name);
  const policies = response.headers.get("content-security-policy");
  if (policies) {
    const allowed = policies.split(",").map((each) => allowing(each, style));
    response.headers.set("content-security-policy", allowed.join(","));
  }
  ctx.waitUntil(ended(answered.body, html, writable));
  return response;
}
