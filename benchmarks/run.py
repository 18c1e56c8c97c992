"""Run all benchmarks, or those named: `python -m benchmarks.run startup query`."""

from __future__ import annotations

import importlib
import sys

ALL = ("startup", "query", "ingest", "generation", "vectorize", "workers")


def main() -> int:
    met = [importlib.import_module(f"benchmarks.{name}").main() for name in sys.argv[1:] or ALL]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
