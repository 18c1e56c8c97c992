addEventListener("fetch", (event) => {
  const url = event.request.url, path = url.indexOf("/", 8);
  const isPlatform = ["/client/v4/", "/edge/", "/_workers/"].some((each) => url.startsWith(each, path))
    || /^https?:\/\/[^./]+\.localhost(:\d+)?\//.test(url);
  const asked = event.request.headers.get("x-edgecli-do");
  if (!isPlatform && !asked) return;
  event.stopImmediatePropagation();
  const failure = { name: "TypeError", message: "A Worker without `export default` runs no crons here.", stack: "" };
  const own = () => asked === "scheduled" ? Response.json(failure, { status: 500 }) : new Response(null, { status: 204 });
  event.respondWith(asked ? own() : __edgecli_platform.fetch(event.request));
});
