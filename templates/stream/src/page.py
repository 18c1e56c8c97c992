"""The page. It stands in a Python module because a Worker has no files to read at run time."""

PAGE = r"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Stream</title>
<style>
  :root { color-scheme: light dark; --ink: light-dark(#1c2026, #e7e9ec); --soft: light-dark(#666e78, #98a1ab);
    --ground: light-dark(#fbfaf8, #14171a); --line: light-dark(#d9d5cc, #31363c); --accent: light-dark(#b8480a, #f59a5b); }
  body { max-width: 42rem; margin: 12vh auto; padding: 0 1rem; color: var(--ink); background: var(--ground);
    font: 16px/1.6 system-ui, "Noto Sans SC", sans-serif; }
  form { display: flex; gap: .5rem; }
  input, button { font: inherit; color: inherit; background: transparent; border: 1px solid var(--line);
    border-radius: .5rem; padding: .5rem .8rem; }
  input { flex: 1; min-width: 0; }
  button { border-color: var(--accent); cursor: pointer; }
  :focus-visible { outline: 2px solid var(--accent); outline-offset: 1px; }
  output { display: block; min-height: 8rem; margin-top: 1.5rem; white-space: pre-wrap; overflow-wrap: anywhere; }
  small { color: var(--soft); }
</style>
<form id="form">
  <input id="prompt" name="prompt" maxlength="2000" required autofocus aria-label="Prompt"
    value="Write two sentences about the sea.">
  <button>Stream</button>
</form>
<output id="answer" for="prompt"></output>
<small id="count" role="status"></small>
<script>
const answer = document.getElementById("answer"), count = document.getElementById("count");
let source;
document.getElementById("form").onsubmit = event => {
  event.preventDefault();
  source?.close();
  answer.textContent = "";
  count.textContent = "…";
  const started = performance.now();
  let pieces = 0;
  source = new EventSource("/stream?" + new URLSearchParams(new FormData(event.target)));
  source.onmessage = ({ data }) => {
    if (data === "[DONE]") return source.close();
    answer.textContent += JSON.parse(data).response ?? "";
    count.textContent = `${++pieces} pieces in ${((performance.now() - started) / 1000).toFixed(1)} s`;
  };
  source.onerror = () => { source.close(); count.textContent = "The stream broke. See the terminal of edgecli dev."; };
};
</script>
</html>
"""
