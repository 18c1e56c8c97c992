"""llama.cpp's own server, as the `xllamacpp` wheels bring it: prints its address, then serves until stdin ends."""

from __future__ import annotations

import json
import sys
from typing import Any


def main(model: str, slots: int, context: int) -> None:
    import xllamacpp  # pyright: ignore[reportMissingImports]

    library: Any = xllamacpp
    params = library.CommonParams()
    params.model.path = model
    params.n_parallel = slots
    params.n_ctx = slots * context
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 2
    params.port = 0
    params.hostnames = ["127.0.0.1"]
    server = library.Server(params)
    print(json.dumps({"address": server.listening_address}), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
