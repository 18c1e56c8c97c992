"""`pyfetch`."""

from __future__ import annotations

from edgecli.workers.python.sdk import fetch as pyfetch
from edgecli.workers.python.web.messages import Response as FetchResponse

__all__ = ["FetchResponse", "pyfetch"]
