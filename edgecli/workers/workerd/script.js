addEventListener("fetch", (event) => {
  const url = event.request.url, path = url.indexOf("/", 8);
  const isPlatform = ["/client/v4/", "/edge/", "/_workers/"].some((each) => url.startsWith(each, path))
    || /^https?:\/\/[^./]+\.localhost(:\d+)?\//.test(url);
  const isPing = event.request.headers.has("x-edgecli-do");
  if (!isPlatform && !isPing) return;
  event.stopImmediatePropagation();
  event.respondWith(isPing ? new Response(null, { status: 204 }) : __edgecli_platform.fetch(event.request));
});
