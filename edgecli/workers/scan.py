"""What a Worker's source says, without running it: its modules, imports, models, and what it takes from `env`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

MODEL_ID = re.compile(r"@(?:cf|hf|edge|local)/[\w.-]+(?:/[\w.-]+)*")
LONGEST_SOURCE = 5 * 1024 * 1024
"""Bytes; a larger file is a bundle that nobody wrote."""


@dataclass(frozen=True, slots=True)
class Use:
    """A name in the source."""

    name: str
    file: Path
    line: int
    detail: str = ""
    """Of a binding, the method that is called; of a fault, what it is."""
    optional: bool = False
    """The code goes on without it."""


@dataclass(slots=True)
class Scan:
    """What the modules of a Worker say."""

    modules: list[Path] = field(default_factory=list[Path])
    env: list[Use] = field(default_factory=list[Use])
    imports: list[Use] = field(default_factory=list[Use])
    """Packages that are not the Worker's own."""
    models: list[Use] = field(default_factory=list[Use])
    names: set[str] = field(default_factory=set[str])
    """What the main module defines or imports at its top, of a Python Worker."""
    faults: list[Use] = field(default_factory=list[Use])
    """Syntax errors, and modules of its own that are not there."""


def scan(main: Path, root: Path) -> Scan:
    """Read the main module and the Worker's own modules that it imports, each once."""
    from edgecli.workers import scan_javascript, scan_python

    found = Scan()
    read = scan_python.read if main.suffix == ".py" else scan_javascript.read
    waiting, seen = [main], {main}
    while waiting:
        path = waiting.pop(0)
        found.modules.append(path)
        try:
            if path.stat().st_size > LONGEST_SOURCE:
                continue
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            found.faults.append(Use(path.name, path, 1, f"cannot be read: {error}"))
            continue
        for module in read(found, path, text, main.parent, root):
            if module not in seen:
                seen.add(module)
                waiting.append(module)
    return found
