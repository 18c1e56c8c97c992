// What the Worker's global fetch() goes through: the AI Gateway is on this machine, the rest is the user's choice.
export default {
  fetch(request, env) {
    const url = new URL(request.url);
    if (url.hostname === "gateway.ai.cloudflare.com") return env.GATEWAY.fetch(request);
    if (env.REFUSED) throw new Error(`fetch() of ${url.origin} was refused: ${env.REFUSED}`);
    return env.NETWORK.fetch(request);
  },
};
