"""The page. It stands in a Python module because a Worker has no files to read at run time."""

PAGE = r"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Chat</title>
<style>
  :root { color-scheme: light dark; --ink: light-dark(#1c2026, #e7e9ec); --soft: light-dark(#666e78, #98a1ab);
    --ground: light-dark(#fbfaf8, #14171a); --card: light-dark(#fff, #1d2125); --line: light-dark(#e2dfd8, #31363c);
    --accent: light-dark(#b8480a, #f59a5b); }
  * { box-sizing: border-box; }
  body { margin: 0; height: 100dvh; display: grid; grid-template-rows: auto 1fr auto; color: var(--ink);
    background: var(--ground); font: 16px/1.55 system-ui, "PingFang SC", "Noto Sans SC", "Microsoft YaHei", sans-serif; }
  header, main, form { width: 100%; max-width: 46rem; margin: 0 auto; padding: .8rem 1rem; }
  header { display: flex; gap: .5rem; align-items: center; }
  h1 { font-size: 1.05rem; margin: 0 auto 0 0; }
  button { font: inherit; color: inherit; background: var(--card); border: 1px solid var(--line); border-radius: .6rem;
    padding: .35rem .8rem; cursor: pointer; }
  button:hover { border-color: var(--accent); }
  :focus-visible { outline: 2px solid var(--accent); outline-offset: 1px; }
  main { overflow-y: auto; display: flex; flex-direction: column; gap: .7rem; }
  main p { margin: 0; max-width: 85%; padding: .6rem .9rem; border-radius: 1rem; white-space: pre-wrap;
    overflow-wrap: anywhere; }
  .user { align-self: end; background: var(--accent); color: light-dark(#fff, #201407); border-end-end-radius: .25rem; }
  .assistant { align-self: start; background: var(--card); border: 1px solid var(--line); border-end-start-radius: .25rem; }
  .assistant:empty::after { content: "…"; color: var(--soft); }
  .error, .hint { color: var(--soft); font-size: .9rem; }
  .hint { margin: auto !important; text-align: center; }
  form { display: flex; gap: .5rem; align-items: end; padding-bottom: 1.2rem; }
  textarea { flex: 1; font: inherit; color: inherit; background: var(--card); border: 1px solid var(--line);
    border-radius: .8rem; padding: .55rem .8rem; resize: none; max-height: 9rem; field-sizing: content; }
  #send { background: var(--accent); border-color: var(--accent); color: light-dark(#fff, #201407); padding: .55rem 1rem; }
</style>
<header>
  <h1 data-text="title"></h1>
  <button id="clear" data-text="clear"></button>
  <button id="language" data-text="other"></button>
</header>
<main id="log" role="log" aria-live="polite" tabindex="0"></main>
<form id="form">
  <textarea id="box" rows="1" maxlength="2000" autofocus></textarea>
  <button id="send" data-text="send"></button>
</form>
<script>
const words = {
  en: { title: "Chat", clear: "New chat", other: "中文", send: "Send", stop: "Stop", box: "Ask something",
    hint: "Enter sends, Shift+Enter makes a new line, Esc stops.", failed: "That did not work: " },
  zh: { title: "聊天", clear: "新对话", other: "English", send: "发送", stop: "停止", box: "问点什么",
    hint: "回车发送，Shift+回车换行，Esc 停止。", failed: "出错了：" },
};
const at = id => document.getElementById(id);
const log = at("log"), box = at("box"), form = at("form");
let language = localStorage.language ?? (navigator.language.startsWith("zh") ? "zh" : "en");
let messages = [], running = null;
try { messages = JSON.parse(localStorage.messages ?? "[]"); } catch {}

function show(role, text) {
  const line = document.createElement("p");
  line.className = role;
  line.textContent = text;
  log.append(line);
  line.scrollIntoView({ block: "end" });
  return line;
}

function draw() {
  const text = words[language];
  document.documentElement.lang = language;
  document.title = text.title;
  for (const each of document.querySelectorAll("[data-text]")) each.textContent = text[each.dataset.text];
  if (running) at("send").textContent = text.stop;
  box.placeholder = text.box;
  box.setAttribute("aria-label", text.box);
  log.querySelector(".hint")?.remove();
  if (!log.children.length) show("hint", text.hint);
}

function redraw() {
  log.replaceChildren();
  for (const each of messages) show(each.role, each.content);
  draw();
}

async function* pieces(body) {
  let rest = "";
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (let part; !(part = await reader.read()).done;) {
    const lines = (rest + part.value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (!line.startsWith("data:")) continue;
      const data = line.slice(5).trim();
      if (data === "[DONE]") return;
      const event = JSON.parse(data);
      if (event.error) throw new Error(event.error.message ?? event.error);
      yield event.response ?? "";
    }
  }
}

async function send(text) {
  log.querySelector(".hint")?.remove();
  messages.push({ role: "user", content: text });
  show("user", text);
  const line = show("assistant", "");
  running = new AbortController();
  draw();
  try {
    const answer = await fetch("/api/chat", {
      method: "POST", headers: { "content-type": "application/json" },
      body: JSON.stringify({ messages }), signal: running.signal,
    });
    if (!answer.ok) throw new Error((await answer.text()).slice(0, 500));
    for await (const piece of pieces(answer.body)) {
      line.textContent += piece;
      log.scrollTop = log.scrollHeight;
    }
  } catch (error) {
    if (error.name !== "AbortError") show("error", words[language].failed + error.message);
  }
  running = null;
  const said = line.textContent.slice(0, 2000);
  if (said) messages.push({ role: "assistant", content: said });
  else { line.remove(); messages.pop(); }
  localStorage.messages = JSON.stringify(messages = messages.slice(-40));
  draw();
}

form.onsubmit = event => {
  event.preventDefault();
  if (running) return running.abort();
  const text = box.value.trim();
  if (!text) return;
  box.value = "";
  send(text);
};
box.onkeydown = event => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing || running) return;
  event.preventDefault();
  form.requestSubmit();
};
document.onkeydown = event => { if (event.key === "Escape") running?.abort(); };
at("clear").onclick = () => { running?.abort(); messages = []; localStorage.removeItem("messages"); redraw(); box.focus(); };
at("language").onclick = () => { localStorage.language = language = language === "en" ? "zh" : "en"; draw(); box.focus(); };
redraw();
</script>
</html>
"""
