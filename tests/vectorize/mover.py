"""A process that compacts, exports or moves an index without end and says when it is ready. The tests kill it."""

from __future__ import annotations

import resource
import signal
import sys
from pathlib import Path

from edgecli.errors import EdgeError
from edgecli.vectorize.care import CareStore
from edgecli.vectorize.places import Server


def move(local: CareStore, server: CareStore) -> None:
    """Move the index to the other place; if a move was cut off when both had it, finish it."""
    here = bool(local.records())
    source, target = (local, server) if here else (server, local)
    source.move_to(target, "kept")


def work(directory: Path, action: str, server: Server) -> None:
    store = CareStore(directory)
    store.records()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        if action == "compact":
            store.compact("kept")
        elif action == "export":
            for _ in store.export("kept"):
                pass
        else:
            other = CareStore(directory, server)
            move(store, other)
            other.close()
        sys.stdout.write("done\n")
        sys.stdout.flush()


if __name__ == "__main__":
    directory_, action_, url, database, limit = sys.argv[1:]
    if limit != "0":
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
    try:
        work(Path(directory_), action_, Server(url, database=database))
    except EdgeError as failure:
        sys.stdout.write(f"error {failure.code}\n")
