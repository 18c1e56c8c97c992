"""Cloudflare's own Python SDK against a running server."""

from __future__ import annotations

import cloudflare

ANY = "any"
"""An account; every one is this machine's."""


def client(address: str) -> cloudflare.Cloudflare:
    """Return the SDK as its users make it, without its silent repetitions."""
    return cloudflare.Cloudflare(api_token="any", base_url=f"{address}/client/v4", max_retries=0)
