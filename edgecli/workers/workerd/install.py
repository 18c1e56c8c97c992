"""Where the two programs that JavaScript Workers need are: `workerd` runs them, `esbuild` makes one module of them.

Both are native programs, which npm carries in a package for each platform. npm fetches them once, with the user's own
configuration (registry, proxy, certificates); afterwards neither npm nor Node is needed.
"""

from __future__ import annotations

import functools
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock

from edgecli.errors import EdgeError, EngineError, UpstreamError

ProgramName = Literal["workerd", "esbuild"]

VERSIONS: dict[ProgramName, str] = {"workerd": "1.20261117.1", "esbuild": "0.28.2"}
"""What is installed: the versions that the tests run with."""
OLDEST_WORKERD = "2026-11-17"
"""What the tests run with; those before 2025-10 do not understand the configuration at all."""
NPM_SECONDS = 900.0
"""What npm is given to fetch one package of up to 50 MB."""
_PYTHON_RUNS = "Python Workers run without it."


@dataclass(frozen=True, slots=True)
class Program:
    """A program that runs on this machine."""

    name: ProgramName
    version: str
    """For `workerd` the newest compatibility date that it knows."""
    path: Path
    source: Literal["variable", "project", "cache", "path"]
    """`EDGECLI_WORKERD`, the project's `node_modules`, edgecli's cache, or `PATH`."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as `--json` prints it."""
        return asdict(self) | {"path": str(self.path)}


def cache_dir() -> Path:
    """Return `$EDGECLI_HOME/npm`, or its place in the user's cache directory."""
    home = os.environ.get("EDGECLI_HOME")
    if home:
        return Path(home).expanduser() / "npm"
    import platformdirs

    return Path(platformdirs.user_cache_dir("edgecli")) / "npm"


def package_of(name: ProgramName) -> str:
    """Return the npm package that carries a program for this platform. Raises EngineError if there is none."""
    machine = {"x86_64": "64", "amd64": "64", "arm64": "arm64", "aarch64": "arm64"}.get(platform.machine().lower())
    system = sys.platform if sys.platform in {"linux", "darwin"} else None
    if machine is None or system is None:
        raise EngineError(
            f"There is no `{name}` for this platform, {sys.platform} on {platform.machine()}.",
            hint=f"JavaScript Workers run on Linux and macOS, on x86-64 and ARM64. {_PYTHON_RUNS}",
            code="workerd_platform",
        )
    if name == "workerd":
        return f"@cloudflare/workerd-{system}-{machine}"
    return f"@esbuild/{system}-{'x64' if machine == '64' else machine}"


def find(name: ProgramName, root: Path | None = None) -> Program | None:
    """Return a program that is on this machine; `root` is the project, whose `node_modules` may hold one.

    Raises EngineError, code `program_broken`, if the one that `EDGECLI_WORKERD` or `EDGECLI_ESBUILD` names is none.
    """
    variable = f"EDGECLI_{name.upper()}"
    if named := os.environ.get(variable):
        path = Path(named).expanduser()
        return Program(name, _version(name, path, f"{variable} names `{path}`"), path, "variable")
    for source, path in _candidates(name, root):
        try:
            return Program(name, _version(name, path, str(path)), path, source)
        except EngineError:
            continue
    return None


def require(name: ProgramName, root: Path | None = None, *, offline: bool = False) -> Program:
    """Return a program, installed now if it is nowhere. Blocks: for minutes if npm must fetch it.

    Raises UpstreamError, code `not_installed`, where that is not possible.
    """
    return find(name, root) or install(name, root, offline=offline)


def install(name: ProgramName, root: Path | None = None, *, offline: bool = False) -> Program:
    """Fetch a program through npm into the cache, where it appears whole or not at all.

    Raises UpstreamError (`not_installed`: no npm, or offline; `npm_failed`) and EngineError if it does not run here.
    """
    package, version = package_of(name), VERSIONS[name]
    cache = cache_dir()
    folder = cache / f"{name}-{version}"
    program = folder / "bin" / name
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / f"{name}.lock"):
        if not program.is_file():
            npm = shutil.which("npm")
            if offline or npm is None:
                why = "and edgecli is offline" if offline else "and there is no `npm` to fetch it with"
                raise UpstreamError(
                    f"JavaScript Workers need `{name}`, which is not on this machine, {why}.",
                    hint=f"{'Go online' if offline else 'Install npm'} and run `edgecli workers install`, "
                    f"or set EDGECLI_{name.upper()} to the program. {_PYTHON_RUNS}",
                    code="not_installed",
                )
            with tempfile.TemporaryDirectory(prefix=".partial-", dir=cache) as partial:
                archive = _fetch(npm, f"{package}@{version}", Path(partial), root)
                _unpack(archive, Path(partial) / "whole", name)
                shutil.rmtree(folder, ignore_errors=True)
                (Path(partial) / "whole").rename(folder)
    return Program(name, _version(name, program, f"npm's `{package}`"), program, "cache")


def install_all(
    root: Path | None, *, offline: bool, force: bool = False, report: Callable[[str], object] = lambda name: None
) -> list[Program]:
    """Return both programs, those that are nowhere installed first; `force` installs the tested versions in any case.

    `report` gets the name of each program that npm is asked for.
    """
    programs: list[Program] = []
    for name in VERSIONS:
        program = None if force else find(name, root)
        if program is None:
            report(name)
            program = install(name, root, offline=offline)
        programs.append(program)
    return programs


def _candidates(name: ProgramName, root: Path | None) -> Iterator[tuple[Literal["project", "cache", "path"], Path]]:
    package = package_of(name)
    for folder in (root, *root.parents) if root else ():
        path = folder / "node_modules" / package / "bin" / name
        if path.is_file():
            yield "project", path
    path = cache_dir() / f"{name}-{VERSIONS[name]}" / "bin" / name
    if path.is_file():
        yield "cache", path
    if found := shutil.which(name):
        with Path(found).open("rb") as file:
            if file.read(2) != b"#!":  # npm's own `workerd` is a script for Node
                yield "path", Path(found)


def _fetch(npm: str, spec: str, folder: Path, root: Path | None) -> Path:
    """Have npm, with the configuration of the user and of the project, put a package's archive into `folder`."""
    command = [npm, "pack", spec, "--json", "--ignore-scripts", "--loglevel=error", "--pack-destination", str(folder)]
    where = root if root and root.is_dir() else folder
    try:
        done = subprocess.run(
            command, cwd=where, capture_output=True, text=True, timeout=NPM_SECONDS, stdin=subprocess.DEVNULL
        )
        problem = (done.stderr.strip() or done.stdout.strip())[-2000:] if done.returncode else ""
    except (OSError, subprocess.TimeoutExpired) as error:
        problem = str(error)
    archives = list(folder.glob("*.tgz"))
    if problem or not archives:
        raise UpstreamError(
            f"npm could not fetch `{spec}`:\n{problem or 'it left no archive'}",
            hint=f"Try `npm view {spec}`; `npm config get registry` shows which registry npm asks. {_PYTHON_RUNS}",
            code="npm_failed",
        )
    return archives[0]


def _unpack(archive: Path, folder: Path, name: ProgramName) -> None:
    """Take the program and its description out of a package."""
    (folder / "bin").mkdir(parents=True)
    with tarfile.open(archive) as package:
        for entry, target in ((f"bin/{name}", folder / "bin" / name), ("package.json", folder / "package.json")):
            source = package.extractfile(f"package/{entry}")
            assert source is not None
            with source, target.open("wb") as file:
                shutil.copyfileobj(source, file)
    (folder / "bin" / name).chmod(0o755)


def _version(name: ProgramName, path: Path, what: str) -> str:
    try:
        stat = path.stat()
        return _ask_version(name, path, stat.st_mtime_ns, stat.st_size)
    except (OSError, EdgeError) as error:
        libc = " ".join(platform.libc_ver()).strip() or "not glibc, perhaps musl"
        raise EngineError(
            f"{what} does not run: {error}.",
            hint=f"It wants glibc 2.27 or newer on Linux (here: {libc}). "
            f"`edgecli workers install` fetches a version that is tested. {_PYTHON_RUNS}",
            code="program_broken",
        ) from error


@functools.lru_cache(maxsize=16)
def _ask_version(name: ProgramName, path: Path, modified: int, size: int) -> str:
    """Return what a program says of its version; the time and size of its file make the cache know a new one."""
    del modified, size
    done = subprocess.run([str(path), "--version"], capture_output=True, text=True, timeout=30)
    found = re.search(r"\d{4}-\d\d-\d\d" if name == "workerd" else r"\d+\.\d+\.\d+\S*", done.stdout)
    if done.returncode or found is None:
        raise EngineError((done.stderr.strip() or done.stdout.strip() or "it says no version")[:500])
    if name == "workerd" and found[0] < OLDEST_WORKERD:
        raise EngineError(f"it is of {found[0]}, and {OLDEST_WORKERD} is the oldest that edgecli works with")
    return found[0]
