// What the Worker's global fetch() goes through: the AI Gateway is on this machine, the rest is the user's choice.
export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    if (url.hostname === "gateway.ai.cloudflare.com") return env.GATEWAY.fetch(request);
    if (env.REFUSED) throw new Error(`fetch() of ${url.origin} was refused: ${env.REFUSED}`);
    try {
      return await env.NETWORK.fetch(request);
    } catch (error) {
      // workerd writes the cause of an internal error to its log only; it is a host without an address, or a certificate.
      const cause = error.message.startsWith("internal error") ? "it cannot be reached. The log says why." : error.message;
      throw new Error(`fetch() of ${url.origin} failed: ${cause}`);
    }
  },
};
