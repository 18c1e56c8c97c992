"""Templates from elsewhere: a folder, or a repository that git clones. Nothing in them is run.

./folder  ../folder  ~/folder  /folder
gh:owner/repository[/folder][#branch-or-tag]
https://…  ssh://…  git@host:path  file:///…     each with [#branch-or-tag]
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import tomli

from edgecli.errors import EdgeError, LimitError, NotFoundError, UpstreamError, UsageError
from edgecli.scaffold.templates import DESCRIPTION_FILE, LEFTOVERS, Template, template_of

MOST_FILES = 2_000
MOST_BYTES = 50 * 1024 * 1024
CLONE_SECONDS = 180

_GITHUB = re.compile(r"gh:([\w.-]+)/([\w.-]+?)(?:\.git)?(?:/([^#]+?))?/?(?:#(.*))?")
_URL = re.compile(r"((?:https?|ssh|git|file)://[^#\n]+|[\w.-]+@[\w.-]+:[^#\n]+)(?:#(.*))?")


class Repository(NamedTuple):
    """What to clone."""

    url: str
    folder: str = ""
    ref: str | None = None
    """A branch or a tag."""


def is_elsewhere(template: str) -> bool:
    """Tell whether a template is named by a place and not by the name of a shipped one."""
    return template.startswith((".", "~", "gh:")) or any(mark in template for mark in ("/", "\\", ":"))


def repository_of(template: str) -> Repository | None:
    """Return what git is to clone; None for a folder. Raises UsageError for an address that is neither."""
    if found := _GITHUB.fullmatch(template):
        owner, name, folder, ref = found.groups()
        if ".." in (folder or "").split("/"):
            raise UsageError(f"`{folder}` leaves the repository.", code="bad_template_address")
        return Repository(f"https://github.com/{owner}/{name}.git", folder or "", ref or None)
    if (found := _URL.fullmatch(template)) and not template.startswith("-"):
        return Repository(found[1], ref=found[2] or None)
    if template.startswith(("gh:", "-")) or "://" in template or "::" in template:
        raise UsageError(
            f"`{template}` names no template.",
            hint="Write `./folder`, `gh:owner/repository/folder#branch`, or an https, ssh or file URL of a repository.",
            code="bad_template_address",
        )
    return None


@contextmanager
def opened(template: str, cwd: Path) -> Generator[Template]:
    """Provide a template from elsewhere, as long as the block runs.

    Raises UsageError for an address that makes no sense, NotFoundError if nothing is there, UpstreamError if git
    fails, LimitError if it is too large, EdgeError with code `unsafe_template` for links that leave it.
    """
    repository = repository_of(template)
    if repository is None:
        yield read_folder((cwd / Path(template).expanduser()).absolute())
        return
    with tempfile.TemporaryDirectory(prefix="edgecli-template-") as folder:
        name = repository.folder.rsplit("/", 1)[-1] or re.split(r"[/:]", repository.url.rstrip("/"))[-1]
        clone = Path(folder) / (name.removesuffix(".git") or "template")
        _clone(repository, clone)
        chosen = clone / repository.folder
        if chosen.exists() and not _is_within(chosen, clone):  # a link in the repository
            raise _unsafe(clone, chosen, f"is a link to `{chosen.resolve()}`")
        yield read_folder(chosen)


def read_folder(path: Path) -> Template:
    """Return the template in a folder; without a template.toml, the folder as it is. Raises as `opened` does."""
    if not path.is_dir():
        raise NotFoundError(
            f"There is no folder `{path}`.", hint="Check the path of the template.", code="no_such_template"
        )
    _check_files(path)
    description = path / DESCRIPTION_FILE
    if not description.is_file():
        return Template(path.name, path.name, "", path, described=False)
    try:
        return template_of(path, tomli.loads(description.read_text(encoding="utf-8")))
    except ValueError as error:
        raise EdgeError(
            f"{DESCRIPTION_FILE} of the template `{path.name}` is no TOML: {error}.",
            hint="Correct it, or remove it: then the folder is copied as it is.",
            code="bad_template",
        ) from error


def _check_files(root: Path) -> None:
    count = size = 0
    for folder, folders, names in os.walk(root):
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        folders[:] = [name for name in folders if name not in LEFTOVERS]
        for name in [*names, *links]:
            path = Path(folder) / name
            if name in LEFTOVERS:
                continue
            if path.is_symlink() and (name in links or not _is_within(path, root)):
                raise _unsafe(root, path, f"is a link to `{path.readlink()}`")
            kind = path.stat()
            if not stat.S_ISREG(kind.st_mode):
                raise _unsafe(root, path, "is no plain file")
            count, size = count + 1, size + kind.st_size
            if count > MOST_FILES or size > MOST_BYTES:
                raise LimitError(
                    f"The template `{root.name}` has more than {MOST_FILES} files or {MOST_BYTES >> 20} MiB.",
                    hint="Name a folder in it that holds the project alone.",
                    code="template_too_large",
                )


def _is_within(path: Path, root: Path) -> bool:
    return path.exists() and path.resolve().is_relative_to(root.resolve())


def _unsafe(root: Path, path: Path, what: str) -> EdgeError:
    return EdgeError(
        f"`{path.relative_to(root).as_posix()}` of the template `{root.name}` {what}; nothing was written.",
        hint="A template holds plain files, and links to files inside it.",
        code="unsafe_template",
    )


def _clone(repository: Repository, target: Path) -> None:
    git = shutil.which("git")
    if git is None:
        raise EdgeError(
            f"`{repository.url}` wants git, which is not installed.",
            hint="Install git, or download the template and name its folder: `--template ./folder`.",
            code="git_missing",
        )
    # No hooks, no template of the user's own, no question, no way to run a program by a clever address.
    settings = ["core.hooksPath=/dev/null", "protocol.ext.allow=never", "submodule.recurse=false"]
    command = [git, *(part for each in settings for part in ("-c", each)), "clone", "--quiet", "--depth=1"]
    command += ["--no-tags", "--single-branch", "--template="]
    command += [f"--branch={repository.ref}"] if repository.ref else []
    environment = os.environ | {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": "https:http:ssh:git:file",
        "GIT_LFS_SKIP_SMUDGE": "1",
    }
    try:
        done = subprocess.run(
            [*command, "--", repository.url, str(target)],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=CLONE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise UpstreamError(
            f"git did not clone `{repository.url}` within {CLONE_SECONDS} s.",
            hint="Clone it yourself and name its folder: `--template ./folder`.",
            code="clone_failed",
        ) from error
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no word of why"]
        said = next((line for line in lines if line.startswith("fatal: ")), lines[-1]).removeprefix("fatal: ")
        raise UpstreamError(
            f"git cannot clone `{repository.url}`{f' at `{repository.ref}`' if repository.ref else ''}: {said}",
            hint="Check the address and your access; after `#` comes a branch or a tag.",
            code="clone_failed",
        )
