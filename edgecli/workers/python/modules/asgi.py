"""Cloudflare's `asgi` module: FastAPI, Starlette and other ASGI apps in a Worker."""

from __future__ import annotations

from edgecli.workers.python.asgi import attribute as __getattr__
from edgecli.workers.python.asgi import fetch, websocket

__all__ = ["__getattr__", "fetch", "websocket"]
