"""Who one is, for clients that ask before they do anything: one user with one account, this machine."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from edgecli.envelope import ok
from edgecli.workers.account import ACCOUNT, EMAIL

_API = "/client/v4"
_NAME = "This machine (edgecli)"


def routes() -> list[BaseRoute]:
    """Return the routes."""
    account = {"id": ACCOUNT, "name": _NAME, "type": "standard"}
    user = {"id": ACCOUNT, "email": EMAIL, "first_name": None, "last_name": None}
    membership = {"id": ACCOUNT, "status": "accepted", "account": account, "roles": ["Administrator"]}
    return [
        _constant("/user", user),
        _constant("/user/tokens/verify", {"id": ACCOUNT, "status": "active"}),
        _constant("/accounts", [account]),
        _constant("/accounts/{account_id}", account),
        _constant("/memberships", [membership]),
    ]


def _constant(path: str, result: Any) -> Route:
    several = isinstance(result, list)
    info = {"page": 1, "per_page": 50, "count": 1, "total_count": 1, "total_pages": 1} if several else None

    async def endpoint(request: Request) -> Response:
        del request
        return ok(result, info=info)

    return Route(_API + path, endpoint, methods=["GET"])
