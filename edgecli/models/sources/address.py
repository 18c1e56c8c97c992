"""How the source of a model file is written, and what it means: no network, no disk."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from edgecli.errors import ConfigError

_HF = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w.-]+))?/(?P<path>.+)")
_PYPI = re.compile(r"(?P<package>[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)==(?P<version>[\w.!+]+)/(?P<path>.+)")
_WRITTEN = {
    "hf": "hf:owner/repository[@revision]/path",
    "pypi": "pypi:package==version/path-in-the-wheel",
    "https": "https://host/path",
    "file": "file:path",
}


@dataclass(frozen=True, slots=True)
class HubAddress:
    """Files of a repository on the Hugging Face Hub. `path` may be a folder (`…/`), a glob or `{a,b}`."""

    repository: str
    revision: str | None
    path: str


@dataclass(frozen=True, slots=True)
class WheelAddress:
    """A file, or a folder (`…/`), inside the wheel of a Python package."""

    package: str
    version: str
    path: str


@dataclass(frozen=True, slots=True)
class WebAddress:
    """One file behind an http or https address."""

    url: str


@dataclass(frozen=True, slots=True)
class LocalAddress:
    """A file or folder of this machine; a relative path counts from the configuration's folder."""

    path: str


Address = HubAddress | WheelAddress | WebAddress | LocalAddress


def parse(source: str) -> Address:
    """Read a source. Raises ConfigError, code `bad_source`, that shows how one is written."""
    scheme, _, rest = source.partition(":")
    if scheme in {"https", "http"} and re.match(r"//[^/\s]+/\S+$", rest):
        return WebAddress(source)
    if scheme == "hf" and (match := _HF.fullmatch(rest)):
        return HubAddress(match["repo"], match["revision"], _safe(match["path"], source))
    if scheme == "pypi" and (match := _PYPI.fullmatch(rest)):
        return WheelAddress(match["package"], match["version"], _safe(match["path"], source))
    if scheme == "file" and rest:
        return LocalAddress(rest.removeprefix("//") if rest.startswith("///") else rest)
    written = _WRITTEN.get(scheme.replace("http", "https") if scheme == "http" else scheme)
    hint = (
        f"Write it as `{written}`."
        if written
        else "A source is one of " + ", ".join(f"`{w}`" for w in _WRITTEN.values())
    )
    raise ConfigError(f"`{source}` is no source of a model file.", hint=hint, code="bad_source")


def default_name(source: str) -> str:
    """Return where a source's file goes below the model's folder: its last part, or "" for several files."""
    address = parse(source)
    if isinstance(address, WebAddress):
        return PurePosixPath(address.url.split("?", 1)[0].split("#", 1)[0]).name
    return "" if is_many(address) else PurePosixPath(address.path.replace("\\", "/")).name


def is_many(address: Address) -> bool:
    """Tell whether an address names a folder or a pattern, and so any number of files."""
    if isinstance(address, WebAddress):
        return False
    return address.path.endswith("/") or (
        isinstance(address, HubAddress) and re.search(r"[*?\[{]", address.path) is not None
    )


def checked_name(name: str) -> str:
    """Return `name` if it is a relative path that stays below the folder it is joined to.

    Raises ValueError otherwise: names come from wheels, repositories and settings.
    """
    parts = name.split("/")
    if not name or name.startswith("/") or "\\" in name or "\0" in name or ":" in parts[0]:
        raise ValueError(f"`{name}` is no path below the model's folder")
    if any(part in {"", ".", ".."} for part in parts):
        raise ValueError(f"`{name}` is no path below the model's folder")
    return name


def redacted(source: str) -> str:
    """Return a source without the user name, password and query that an address may carry."""
    if not source.startswith(("https:", "http:")):
        return source
    return re.sub(r"[?#].*$", "", re.sub(r"//[^/@]*@", "//", source))


def _safe(path: str, source: str) -> str:
    try:
        checked_name(path.rstrip("/"))
    except ValueError as error:
        raise ConfigError(
            f"`{source}` is no source of a model file: {error}.",
            hint="Its path is relative, with plain names, as `hf:owner/repository/folder/file.gguf`.",
            code="bad_source",
        ) from error
    return path
