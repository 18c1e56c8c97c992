// Behind a KV binding: workerd shows a Worker the reason phrase of an error, which the server cannot set.
export default {
  async fetch(request, env) {
    const response = await env.EDGE.fetch(request);
    if (response.ok || response.status === 404) return response;
    const said = (await response.text()).replace(/[^ -~]+/g, " ").trim();
    return new Response(null, { status: response.status, statusText: said.slice(0, 1000) });
  },
};
