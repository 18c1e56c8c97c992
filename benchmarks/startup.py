"""What `edgecli --help` and `--version` cost, against a bare interpreter."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.timing import interleaved, report


def main() -> bool:
    edgecli = str(Path(sys.executable).with_name("edgecli"))
    timings = interleaved(
        {"bare": [sys.executable, "-c", "pass"], "--help": [edgecli, "--help"], "--version": [edgecli, "--version"]},
        runs=15,
    )
    bare = timings["bare"].median
    return report(
        "Start-up",
        [
            ("python -c pass", bare, " s", None),
            ("edgecli --help / python -c pass", timings["--help"].median / bare, "x", 3.0),
            ("edgecli --version / python -c pass", timings["--version"].median / bare, "x", 3.0),
        ],
    )


if __name__ == "__main__":
    sys.exit(not main())
