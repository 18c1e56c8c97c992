// Behind `env.AI`: HTTP goes to the server as it is; the methods that workerd calls by RPC become HTTP here.
import { RpcTarget, WorkerEntrypoint } from "cloudflare:workers";

const BASE = "https://workers-binding.ai";

class Remote extends RpcTarget {
  #edge;
  #base;
  #errors;
  constructor(edge, base, errors) {
    super();
    this.#edge = edge;
    this.#base = base;
    this.#errors = errors;
  }
  at(path, errors = this.#errors) {
    return [this.#edge, this.#base + path, errors];
  }
  async call(method, path = "", body = undefined, query = {}) {
    const response = await this.send(method, path, body, query);
    const text = await response.text();
    let answer;
    try {
      answer = JSON.parse(text);
    } catch {
      throw this.error(response.status, text);
    }
    if (!response.ok) throw this.error(response.status, answer?.errors?.[0]?.message ?? answer?.error ?? text);
    if (answer === null || typeof answer !== "object" || !("result" in answer)) return answer;
    return Array.isArray(answer.result) && answer.result_info
      ? { result: answer.result, result_info: answer.result_info }
      : answer.result;
  }
  send(method, path, body, query = {}, headers = {}) {
    const url = new URL(BASE + this.#base + path);
    for (const [key, value] of Object.entries(query ?? {})) {
      if (value !== undefined) url.searchParams.set(key, typeof value === "object" ? JSON.stringify(value) : value);
    }
    const isJson = body !== undefined && !(body instanceof FormData);
    return this.#edge.fetch(url, {
      method,
      body: isJson ? JSON.stringify(body) : body,
      headers: isJson ? { "content-type": "application/json", ...headers } : headers,
    });
  }
  async stream(path, body) {
    const response = await this.send("POST", path, body);
    if (!response.ok) throw this.error(response.status, await response.text());
    return response.body;
  }
  error(status, message) {
    const error = new Error(message);
    error.name = `${this.#errors}${status === 404 ? "NotFoundError" : "InternalError"}`;
    return error;
  }
}

const part = encodeURIComponent;

class Items extends Remote {
  list(params) {
    return this.call("GET", "", undefined, params);
  }
  async upload(name, content, options = {}) {
    const form = new FormData();
    const bytes = content instanceof ReadableStream ? await new Response(content).arrayBuffer() : content;
    form.append("file", new Blob([bytes]), name);
    if (options.metadata) form.append("metadata", JSON.stringify(options.metadata));
    return this.call("POST", "", form);
  }
  async uploadAndPoll(name, content, options = {}) {
    const until = Date.now() + (options.timeoutMs ?? 30000);
    let item = await this.upload(name, content, options);
    while (["queued", "running"].includes(item.status) && Date.now() < until) {
      await scheduler.wait(options.pollIntervalMs ?? 1000);
      item = await this.call("GET", `/${part(item.id)}`);
    }
    return item;
  }
  get(id) {
    return new Item(...this.at(`/${part(id)}`));
  }
  delete(id) {
    return this.call("DELETE", `/${part(id)}`);
  }
}

class Item extends Remote {
  info() {
    return this.call("GET");
  }
  async download() {
    const response = await this.send("GET", "/download");
    if (!response.ok) throw this.error(response.status, await response.text());
    return response.body;
  }
  sync() {
    return this.call("PATCH", "", {});
  }
  logs(params) {
    return this.call("GET", "/logs", undefined, params);
  }
  chunks(params) {
    return this.call("GET", "/chunks", undefined, params);
  }
}

class Jobs extends Remote {
  list(params) {
    return this.call("GET", "", undefined, params);
  }
  create(params = {}) {
    return this.call("POST", "", params);
  }
  get(id) {
    return new Job(...this.at(`/${part(id)}`));
  }
}

class Job extends Remote {
  info() {
    return this.call("GET");
  }
  logs(params) {
    return this.call("GET", "/logs", undefined, params);
  }
  cancel() {
    return this.call("PATCH", "", { action: "cancel" });
  }
}

class Instance extends Remote {
  get items() {
    return new Items(...this.at("/items"));
  }
  get jobs() {
    return new Jobs(...this.at("/jobs"));
  }
  search(params) {
    return this.call("POST", "/search", params);
  }
  chatCompletions(params) {
    return params?.stream ? this.stream("/chat/completions", params) : this.call("POST", "/chat/completions", params);
  }
  update(params) {
    return this.call("PUT", "", params);
  }
  info() {
    return this.call("GET");
  }
  stats() {
    return this.call("GET", "/stats");
  }
}

class Namespace extends Remote {
  get(name) {
    return new Instance(...this.at(`/instances/${part(name)}`));
  }
  list(params) {
    return this.call("GET", "/instances", undefined, params);
  }
  create(config) {
    return this.call("POST", "/instances", config);
  }
  delete(name) {
    return this.call("DELETE", `/instances/${part(name)}`);
  }
  search(params) {
    return this.call("POST", "/search", params);
  }
  chatCompletions(params) {
    return params?.stream ? this.stream("/chat/completions", params) : this.call("POST", "/chat/completions", params);
  }
}

class Gateway extends Remote {
  async getUrl(provider = "universal") {
    return (await this.call("GET", `/gateways/${this.id}/url/${provider}`)).url;
  }
  async getLog(log) {
    const found = await this.call("GET", `/gateways/${this.id}/logs/${part(log)}`);
    return { ...found, created_at: new Date(found.created_at) };
  }
  async patchLog(log, data) {
    await this.call("PATCH", `/gateways/${this.id}/logs/${part(log)}`, data);
  }
  async run(requests, options = {}) {
    const gateway = { ...options.gateway };
    const headers = { ...options.extraHeaders };
    for (const [key, header] of Object.entries({ skipCache: "skip-cache", cacheTtl: "cache-ttl", cacheKey: "cache-key", collectLog: "collect-log" })) {
      if (gateway[key] !== undefined) headers[`cf-aig-${header}`] = String(gateway[key]);
    }
    if (gateway.metadata) headers["cf-aig-metadata"] = JSON.stringify(gateway.metadata);
    return this.send("POST", `/universal/run/${this.id}`, Array.isArray(requests) ? requests : [requests], {}, headers);
  }
}

export default class extends WorkerEntrypoint {
  fetch(request) {
    return this.env.EDGE.fetch(request);
  }
  aiSearch() {
    return new Namespace(this.env.EDGE, "/ai-search/namespaces/default", "AiSearch");
  }
  gateway(id) {
    const gateway = new Gateway(this.env.EDGE, "/ai-gateway", "AiGateway");
    gateway.id = part(id);
    return gateway;
  }
}
