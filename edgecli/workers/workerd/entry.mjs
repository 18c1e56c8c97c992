// The first module of every Worker: it hands the platform's paths to the server and all else to the user's module,
// and tells edgecli on stdout what was asked, answered, said and thrown. It shares the user's isolate, because a
// service of its own in front costs two thirds of a request.
import * as user from "edgecli:main";
import { AsyncLocalStorage } from "node:async_hooks";
import { env as bindings } from "cloudflare:workers";
import { cover, covered, isBare, overlay } from "edgecli-overlay.mjs";
import options from "edgecli-options.json";

export * from "edgecli:main";

const { mark, timeout, lines, longest } = options;
const platform = bindings.__edgecli_platform;
const desk = bindings.__edgecli_desk;
delete bindings.__edgecli_platform;
delete bindings.__edgecli_desk;

// workerd puts the socket's facts where the cloud has those of its edge; this is what a Python Worker has there too.
const { get: cf } = Object.getOwnPropertyDescriptor(Request.prototype, "cf");
const here = { colo: "EDGE", country: null, httpProtocol: "HTTP/1.1", clientAcceptEncoding: "" };
Object.defineProperty(Request.prototype, "cf", {
  get() {
    const given = cf.call(this);
    return given && ("clientIp" in given || "clientPid" in given) ? here : given;
  },
});

const current = new AsyncLocalStorage();
const outside = { id: 0, lines: 0 };
const print = console.log.bind(console);
const tell = (what) => print(mark + JSON.stringify(what));

function shown(value) {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
}

function stackOf(error) {
  let text = String(error.stack ?? error);
  for (let each = error.cause, depth = 0; each !== undefined && depth < 5; each = each?.cause, depth++) {
    text += `\nCaused by: ${each instanceof Error ? (each.stack ?? each) : shown(each)}`;
  }
  return text.slice(0, longest);
}

function plain(value) {
  if (typeof value === "string") return value.slice(0, longest);
  if (value === null || typeof value === "number" || typeof value === "boolean") return value;
  if (value instanceof Error) return stackOf(value);
  if (value instanceof Map || value instanceof Set) {
    return `${value.constructor.name}(${value.size}) ${shown([...value])}`.slice(0, longest);
  }
  if (typeof value === "object") {
    try {
      const text = JSON.stringify(value);
      if (text !== undefined) return text.length > longest ? text.slice(0, longest) : JSON.parse(text);
    } catch {
      // circular, or holds a BigInt
    }
  }
  return String(value).slice(0, longest);
}

for (const level of ["debug", "log", "info", "warn", "error"]) {
  console[level] = (...message) => {
    const request = current.getStore() ?? outside;
    if (request !== outside && ++request.lines > lines) return;
    const { id, method, url, cron } = request;
    tell({ id, method, url, cron, level, message: message.map(plain), at: Date.now() });
  };
}

addEventListener("unhandledrejection", ({ reason }) => {
  const message = ["Unhandled rejection:", plain(reason)];
  tell({ id: current.getStore()?.id ?? 0, level: "error", message, at: Date.now() });
});

// One line for all requests of 50 ms, or of half a second where they are many: to write one for each would cost a tenth
// of it, and each line wakes the server, which takes the core that the Worker was on.
const MANY = 20;
const MOST_WITH_LINES = 500; // output.py keeps the lines of 1,000 requests that have not ended
let pause = 50;
let ended = [];
let since = 0;
let draining = false; // workerd is about to end, and will not wait for the line
function flush() {
  if (ended.length) tell(ended);
  pause = ended.length > MANY ? 500 : 50;
  ended = [];
}
function end(request, status, ctx, failure) {
  const now = Date.now();
  ended.push([request.id, request.method, request.url, status, request.at, now - request.at, request.lines, failure]);
  if (draining || (request.lines && ended.length >= MOST_WITH_LINES)) {
    flush();
  } else if (ended.length === 1 || now - since > 1000) {
    since = now;
    // A Worker's clock stands still while it computes; once the answer is on its way, it has moved on.
    const [first] = ended;
    ctx.waitUntil(scheduler.wait(0).then(() => {
      first[5] = Date.now() - first[4];
      return scheduler.wait(pause).then(flush);
    }));
  }
}

function describe(error) {
  const isError = error instanceof Error;
  return {
    name: isError ? String(error.name) : "Uncaught",
    message: isError ? String(error.message) : shown(error),
    stack: isError ? stackOf(error) : "",
  };
}

async function failed(failure, request) {
  if (desk) {
    try {
      const body = JSON.stringify({ ...failure, method: request.method, url: request.url, accept: request.headers.get("accept") });
      return await desk.fetch("http://desk/", { method: "POST", body });
    } catch {
      return new Response(failure.stack || `${failure.name}: ${failure.message}`, { status: 500 });
    }
  }
  // As the cloud, and as error_page.py for a Python Worker.
  const headers = { "content-type": "text/plain; charset=utf-8", "cache-control": "no-store" };
  return new Response("error code: 1101\n", { status: 500, headers });
}

const LATE = Symbol("late");
async function inTime(answer) {
  let ended = false;
  const end = () => (ended = true);
  Promise.resolve(answer).then(end, end);
  // Most answers that need no I/O are there after a few turns of the queue; a timer would cost them a tenth.
  for (let turn = 0; turn < 4 && !ended; turn++) await null;
  if (ended) return answer;
  let timer;
  const late = new Promise((resolve) => (timer = setTimeout(resolve, timeout, LATE)));
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}

function late(what) {
  return { name: "Timeout", message: `The Worker did not ${what} within ${timeout / 1000} s.`, stack: "" };
}

function kindOf(value) {
  if (value === undefined || value === null) return String(value);
  return typeof value === "object" ? `an object (${value.constructor?.name ?? "without a class"})` : `a ${typeof value}`;
}

let count = 0;
async function answer(request, ctx, call) {
  const note = { id: ++count, method: request.method, url: request.url, at: Date.now(), lines: 0 };
  try {
    const response = await inTime(current.run(note, call));
    if (response === LATE) {
      const failure = late("begin its answer");
      end(note, 504, ctx, failure);
      return new Response(failure.message + "\n", { status: 504 });
    }
    if (!(response instanceof Response)) {
      throw new TypeError(`The fetch handler returned ${kindOf(response)}, not a Response.`);
    }
    end(note, response.status, ctx);
    return response;
  } catch (error) {
    const failure = describe(error);
    end(note, 500, ctx, failure);
    return await failed(failure, request);
  }
}

const DEPLOYED = /^https?:\/\/[^./]+\.localhost(:\d+)?\//; // a deployed Worker's own host, as in server/front.py
function isPlatform(url) {
  const path = url.indexOf("/", 8);
  return DEPLOYED.test(url) || url.startsWith("/client/v4/", path) || url.startsWith("/edge/", path) || url.startsWith("/_workers/", path);
}

async function toPlatform(request) {
  try {
    return await platform.fetch(request);
  } catch (error) {
    return new Response(`edgecli's server did not answer: ${error.message}\n`, { status: 502 });
  }
}

const main = user.default;
const isClass = typeof main === "function";
const noFetch = () => {
  throw new TypeError("The main module's default export has no fetch() handler.");
};

function made() {
  if (isClass) {
    return class extends main {
      fetch(request) {
        if (isPlatform(request.url)) return toPlatform(request);
        if (overlay && isBare(request)) return covered(request, this.ctx, (asked) => this.fetch(asked));
        return answer(request, this.ctx, () => (super.fetch ? super.fetch(request) : noFetch()));
      }
    };
  }
  const handlers = {};
  for (const name of ["scheduled", "queue", "email", "tail", "trace", "test"]) {
    if (typeof main?.[name] === "function") handlers[name] = (...given) => main[name](...given);
  }
  handlers.fetch = (request, env, ctx) => {
    if (isPlatform(request.url)) return toPlatform(request);
    if (overlay && isBare(request)) return covered(request, ctx, (asked) => handlers.fetch(asked, env, ctx));
    return answer(request, ctx, () => (main?.fetch ? main.fetch(request, env, ctx) : noFetch()));
  };
  return handlers;
}
export default made();

async function scheduled(request, env, ctx) {
  const cron = request.headers.get("x-edgecli-cron");
  const note = { id: ++count, cron, at: Date.now(), lines: 0 };
  const controller = { cron, scheduledTime: note.at, noRetry() {}, type: "scheduled" };
  try {
    const run = async () => {
      const handler = isClass ? new main(ctx, env) : main;
      if (typeof handler?.scheduled !== "function") throw new TypeError("The Worker has no scheduled() handler.");
      await handler.scheduled(controller, env, ctx);
    };
    if ((await inTime(current.run(note, run))) === LATE) throw LATE;
    tell([[note.id, null, null, 200, note.at, Date.now() - note.at, note.lines, null, cron]]);
    return new Response(null, { status: 204 });
  } catch (error) {
    const status = error === LATE ? 504 : 500;
    const failure = error === LATE ? late("end its `scheduled` handler") : describe(error);
    tell([[note.id, null, null, status, note.at, Date.now() - note.at, note.lines, failure, cron]]);
    return Response.json(failure, { status });
  }
}

// What edgecli itself calls, over a socket of its own: all paths are the Worker's there.
export const edgecliInner = {
  fetch(request, env, ctx) {
    const what = request.headers.get("x-edgecli-do");
    if (what === "scheduled") return scheduled(request, env, ctx);
    if (what === "cover") return cover(request);
    if (what === "drain") {
      draining = true;
      flush();
    }
    if (what) return new Response(null, { status: 204 });
    const call = () => {
      if (isClass) return new main(ctx, env).fetch(request);
      return main?.fetch ? main.fetch(request, env, ctx) : noFetch();
    };
    return answer(request, ctx, call);
  },
};
