"""The source of a JavaScript or TypeScript Worker, read with a few patterns: enough for imports and names of `env`."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

from edgecli.workers.scan import MODEL_ID, Scan, Use
from edgecli.workers.workerd.install import find

_TOKEN = re.compile(
    r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|`(?:\\.|[^`\\])*`|(?P<comment>//[^\n]*|/\*.*?\*/)', re.DOTALL
)
_IMPORT = re.compile(
    r"\b(?:import\b(?!\s+type\b)(?:[\w*${},\s]*?\bfrom)?|export\b(?!\s+type\b)[\w*${},\s]*?\bfrom)\s*[\"']([^\"'\n]+)[\"']"
    r"|\b(?:import|require)\s*\(\s*[\"']([^\"'\n]+)[\"']\s*\)"
)
_HELD = r"(?<![\w$.])(?:(?:c|ctx|context|this)\.)?env"
_ENV = re.compile(_HELD + r"(?:\.([A-Za-z_$][\w$]*)|\[[\"']([^\"']+)[\"']\])(?:\s*\.\s*([A-Za-z_$][\w$]*))?")
_TAKEN_APART = re.compile(r"\{([^{}]*)\}\s*=\s*" + _HELD + r"\b(?!\s*\.)")
_STRING = re.compile(r"[\"'`]([^\"'`\n]+)[\"'`]")
_SYNTAX_ERROR = re.compile(r"\[ERROR\] (?P<message>.*)\n\n {4}(?P<file>\S.*?):(?P<line>\d+):\d+:")
_SUFFIXES = ("", ".ts", ".tsx", ".mts", ".js", ".jsx", ".mjs", "/index.ts", "/index.tsx", "/index.js", "/index.mjs")
_CODE = {".ts", ".tsx", ".mts", ".js", ".jsx", ".mjs"}


def read(found: Scan, path: Path, text: str, base: Path, root: Path) -> list[Path]:
    """Add what a module says to `found`; return the Worker's own modules that it imports."""
    del base
    text = _TOKEN.sub(lambda each: re.sub(r"[^\n]", " ", each[0]) if each["comment"] else each[0], text)

    def use(name: str, at: int, detail: str = "", *, optional: bool = False) -> Use:
        return Use(name, path, text.count("\n", 0, at) + 1, detail, optional)

    for each in _ENV.finditer(text):
        found.env.append(use(each[1] or each[2], each.start(), each[3] or ""))
    for each in _TAKEN_APART.finditer(text):
        for part in each[1].split(","):
            name = re.split(r"[:=]", part)[0].strip()
            if name and not name.startswith("..."):
                found.env.append(use(name, each.start(), optional="=" in part))
    for each in _STRING.finditer(text):
        if MODEL_ID.fullmatch(each[1]):
            found.models.append(use(each[1], each.start()))
    own: list[Path] = []
    for each in _IMPORT.finditer(text):
        name = each[1] or each[2]
        if not name.startswith("."):
            found.imports.append(use(name, each.start()))
        elif (module := _own(path.parent / name)) is None:
            found.faults.append(use(name, each.start(), f"there is no module `{name}`"))
        elif module.suffix in _CODE and module.is_relative_to(root.resolve()):
            own.append(module)
    return own


def package_of(name: str) -> str | None:
    """Return the package of an import, `@scope/name` of `@scope/name/part`; None for what the runtime brings."""
    if ":" in name or name.startswith(("@/", "~", "#", "/")):
        return None  # `cloudflare:`, `node:`, or an alias of tsconfig.json
    parts = name.split("/")
    return "/".join(parts[:2]) if name.startswith("@") else parts[0]


def syntax_errors(modules: list[Path], root: Path) -> list[Use] | None:
    """Return what esbuild cannot read; None where `dev` would have to install it first."""
    esbuild = find("esbuild", root)
    if esbuild is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        options = ["--log-level=error", "--log-limit=20", "--color=false", f"--outdir={folder}", f"--outbase={root}"]
        done = subprocess.run(
            [str(esbuild.path), *options, *map(str, modules)],
            cwd=root,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    return [
        Use(found["message"], root / found["file"], int(found["line"]), f"syntax error: {found['message']}")
        for found in _SYNTAX_ERROR.finditer(done.stderr)
    ]


def _own(path: Path) -> Path | None:
    candidates = [Path(f"{path}{suffix}") for suffix in _SUFFIXES]
    if path.suffix in {".js", ".mjs"}:  # TypeScript is imported under the name of what it becomes
        candidates.append(path.with_suffix(path.suffix.replace("j", "t")))
    return next((each.resolve() for each in candidates if each.is_file()), None)
