"""Finding the configuration file."""

from __future__ import annotations

import os
from pathlib import Path

CONFIG_NAMES = ("wrangler.json", "wrangler.jsonc", "wrangler.toml")


def find_config(start: Path) -> Path | None:
    """Return the configuration file that wrangler would use for a command run in `start`, or None.

    Each name is searched up to the root of the file system before the next one is tried, so a
    `wrangler.json` in a parent folder comes before a `wrangler.toml` in `start` itself.
    """
    folder = start.resolve()
    for name in CONFIG_NAMES:
        for place in (folder, *folder.parents):
            # os.path.isfile and not Path.is_file: a parent that may not be read is no error here.
            if os.path.isfile(place / name):  # noqa: PTH113
                return place / name
    return None
