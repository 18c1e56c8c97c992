"""The same as `asgi`: the newer SDK has it here too."""

from __future__ import annotations

from edgecli.workers.python.asgi import attribute as __getattr__
from edgecli.workers.python.asgi import fetch, websocket

__all__ = ["__getattr__", "fetch", "websocket"]
