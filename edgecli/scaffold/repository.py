"""A git repository for a new project."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from edgecli.errors import EdgeError, StateError


def check_git() -> None:
    """Raise StateError if git is not installed."""
    if shutil.which("git") is None:
        raise StateError(
            "--git wants git, which is not installed; nothing was written.",
            hint="Install git, or leave --git out.",
            code="git_missing",
        )


def start(project: Path, files: tuple[str, ...], template: str) -> bool:
    """Make a repository of the project with one commit of its new files; False if it lies in one already.

    Raises StateError, code `git_failed`: the project is there then, and whatever git has done.
    """
    if _git(project, "rev-parse", "--is-inside-work-tree").returncode == 0:
        return False
    _must(project, "init", "--quiet")
    _must(project, "add", "--", *files)
    done = _git(project, "commit", "--quiet", "--message", f"Start from the template {template}")
    if done.returncode != 0:
        raise _failed("commit", done)
    return True


def _git(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", *arguments],
        cwd=project,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )


def _must(project: Path, *arguments: str) -> None:
    done = _git(project, *arguments)
    if done.returncode != 0:
        raise _failed(arguments[0], done)


def _failed(step: str, done: subprocess.CompletedProcess[str]) -> EdgeError:
    said = done.stderr.strip() or done.stdout.strip()
    if "user.email" in said or "user.name" in said:
        return StateError(
            "The project is written and its files are staged, but git does not know who commits them.",
            hint='Run `git config --global user.name "…"` and `git config --global user.email "…"`, '
            "then `git commit` in the project.",
            code="git_failed",
        )
    return StateError(
        f"The project is written, but `git {step}` failed: {said.splitlines()[-1] if said else 'no word of why'}",
        hint="Run it yourself in the project's folder.",
        code="git_failed",
    )
