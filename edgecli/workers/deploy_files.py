"""Files that run a project elsewhere than in the cloud: a unit of systemd, a Containerfile."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edgecli import __version__
from edgecli.errors import StateError, UsageError

if TYPE_CHECKING:
    from edgecli.config.project import Project

Target = Literal["systemd", "container"]
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")

_UNIT = """\
# {name}: this project on edgecli, as a service. Written by `edgecli deploy --to systemd`.
#
# For yourself:
#   mkdir -p ~/.config/systemd/user && cp {file} ~/.config/systemd/user/
#   systemctl --user daemon-reload && systemctl --user enable --now {name}
#   loginctl enable-linger    # so that it runs without you being logged in
#
# For the machine: take the # from User= below, then as root
#   cp {file} /etc/systemd/system/ && systemctl daemon-reload && systemctl enable --now {name}
#
# It listens where `[edgecli.server]` says, by default on 127.0.0.1:8787. `journalctl --user -u {name}` shows its log.

[Unit]
Description={name} on edgecli
After=network.target

[Service]
Type=exec
#User={user}
WorkingDirectory={root}
ExecStart={python} -m edgecli serve --config {config}{env}
# Variables such as EDGECLI_SERVER_TOKEN=..., one a line; the file may be missing. Keep it to yourself: chmod 600.
EnvironmentFile=-{variables}
Restart=on-failure
RestartSec=2
TimeoutStopSec=30
UMask=0077

# What it may not do. A user's own unit needs user namespaces for the Protect and Private lines: where it fails with
# 226/NAMESPACE, take them out.
NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=full
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native

[Install]
WantedBy=default.target
"""

_CONTAINERFILE = """\
# {name}: this project on edgecli, as a container. Written by `edgecli deploy --to container`.
#
#   podman build -f {file} -t {name} .          (docker build works the same)
#   podman run --rm -v {name}-data:/data {name} models pull
{install}#   podman run -d --name {name} -p 127.0.0.1:8787:8787 -v {name}-data:/data -e EDGECLI_SERVER_TOKEN {name}
#
# The Worker's own routes are open to whoever reaches the port; the platform's API beside it wants the token. Models and
# state are in the volume /data.
# Secrets are not in the image; bring them along: -v ./.dev.vars:/app/.dev.vars:ro

FROM docker.io/library/python:3.12-slim AS build
# llama-cpp-python is compiled.
RUN apt-get update \\
    && apt-get install -y --no-install-recommends build-essential cmake git \\
    && rm -rf /var/lib/apt/lists/*
RUN python -m venv /venv
# Another place to take edgecli from: --build-arg EDGECLI=git+https://...
ARG EDGECLI="edgecli=={version}"
RUN /venv/bin/pip install --no-cache-dir "$EDGECLI"{packages}

FROM docker.io/library/python:3.12-slim
RUN apt-get update \\
    && apt-get install -y --no-install-recommends libgomp1{system} \\
    && rm -rf /var/lib/apt/lists/* \\
    && useradd --create-home --uid 10001 edge \\
    && mkdir /data && chown edge:edge /data
COPY --from=build /venv /venv
WORKDIR /app
COPY --chown=edge:edge . /app
ENV PATH=/venv/bin:$PATH \\
    PYTHONUNBUFFERED=1 \\
    EDGECLI_HOME=/data \\
    EDGECLI_STATE_DIR=/data/state{env}
USER edge
{modules}VOLUME ["/data"]
EXPOSE 8787
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \\
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8787/edge/healthz', timeout=4)"]
ENTRYPOINT ["edgecli"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8787"]
"""

_IGNORED = """\
# What does not go into the image: secrets, state, and what is made anew there.
.dev.vars*
.env*
.edgecli
.wrangler
.git
.venv
node_modules
deploy
**/__pycache__
**/.pytest_cache
"""


def contents(project: Project, target: Target, folder: Path, packages: list[str]) -> dict[Path, str]:
    """Return the files of a target and their text; `packages` are what the Worker's code imports of others.

    Raises UsageError for names that would be more than a word in them.
    """
    if project.env and not _WORD.fullmatch(project.env):
        raise UsageError(
            f"The environment {project.env!r} cannot be named in a unit or a Containerfile.",
            hint="Take letters, digits, `_`, `-` and `.` for its name.",
            code="bad_env_name",
        )
    name = project.name or "edgecli-project"
    if target == "systemd":
        return {folder / f"{name}.service": _unit(project, name, folder)}
    file = folder / "Containerfile"
    shown = os.path.relpath(file, project.root)
    return {
        file: _containerfile(project, name, shown, packages),
        # Docker looks beside the Containerfile, Podman into the folder that is built.
        folder / "Containerfile.dockerignore": _IGNORED,
        project.root / ".containerignore": _IGNORED,
    }


def _unit(project: Project, name: str, folder: Path) -> str:
    file = f"{name}.service"
    config = project.config_path or project.root / "wrangler.toml"
    return _UNIT.format(
        name=name,
        file=_comment(folder / file),
        user=os.environ.get("USER") or "nobody",
        root=_specifiers(project.root),
        python=_argument(Path(sys.executable)),
        config=_argument(config),
        env=f" --env {project.env}" if project.env else "",
        variables=_specifiers(folder / f"{name}.env"),
    )


def _comment(path: Path) -> str:
    return f"'{path}'" if " " in str(path) else str(path)


def _specifiers(path: Path) -> str:
    """Write a path for systemd, which takes `%` for its own. Raises UsageError for what no unit can hold."""
    text = str(path)
    if any(ord(character) < 32 for character in text) or text != text.strip() or text.endswith("\\"):
        raise UsageError(
            f"The path {text!r} cannot stand in a unit of systemd.",
            hint="Move the project into a folder without line ends or control characters in its name.",
            code="bad_path",
        )
    return text.replace("%", "%%")


def _argument(path: Path) -> str:
    """Write a path as one word of a command line of systemd."""
    text = _specifiers(path).replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{text}"'


def _containerfile(project: Project, name: str, file: str, packages: list[str]) -> str:
    is_python = not project.main or project.main.endswith(".py")
    has_modules = not is_python and (project.root / "package.json").is_file()
    lock = "ci" if (project.root / "package-lock.json").is_file() else "install"
    return _CONTAINERFILE.format(
        name=name,
        file=f"'{file}'" if " " in file else file,
        version=__version__,
        install="" if is_python else f"#   podman run --rm -v {name}-data:/data {name} workers install\n",
        packages="".join(f' "{each}"' for each in packages) if is_python else "",
        system="" if is_python else " nodejs npm",
        env=f" \\\n    CLOUDFLARE_ENV={project.env}" if project.env else "",
        modules=f"RUN npm {lock} --omit=dev\n" if has_modules else "",
    )


def write(files: dict[Path, str], *, force: bool) -> None:
    """Write all files, or none where one of them is there already and `force` is not given. Raises StateError."""
    there = [path for path in files if os.path.lexists(path)]
    if there and not force:
        raise StateError(
            f"`{there[0]}` is there already; nothing was written.",
            hint="--force writes over it, --out names another folder.",
            code="would_overwrite",
            details={"files": [str(path) for path in there]},
        )
    for path, text in files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise StateError(
                f"Cannot write `{path}`: {error.strerror}.",
                hint="Name a folder that you may write to: --out DIR.",
                code="unwritable",
            ) from error
