"""What all commands share: groups that load late, the common options, and the error boundary.

Every command takes the common options, before or after its name, as wrangler's commands do. They are added
here once, and a command reads them through `common()`.
"""

from __future__ import annotations

import importlib
import math
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from edgecli import stdio
from edgecli.errors import EdgeError, ExitCode, UsageError, did_you_mean
from edgecli.outline import COMMANDS, COMMON_OPTIONS, FAMILIAR

if TYPE_CHECKING:
    from edgecli.client import Client
    from edgecli.config.project import Project


@dataclass(slots=True)
class Common:
    """The options that every command takes, as this call gave them."""

    json: bool = False
    config: Path | None = None
    env: str | None = None
    cwd: Path = field(default_factory=Path.cwd)
    verbose: int = 0
    debug: bool = False
    _client: Client | None = None
    _project: Project | None = None

    def project(self, *, required: bool = True) -> Project:
        """Load the project's configuration and show its warnings, once.

        Raises ConfigError if there is none (and it is `required`) or if it is wrong.
        """
        if self._project is None:
            from edgecli import config, console

            load = config.load_project if required else config.load_project_or_default
            self._project = load(cwd=self.cwd, config=self.config, env=self.env)
            for diagnostic in self._project.diagnostics:
                console.warn(diagnostic.describe())
        return self._project

    def client(self, *, project: bool = True) -> Client:
        """Return the client of this call: the project's running server, or the app in this process."""
        if self._client is None:
            from edgecli.client import Client

            self._client = Client.connect(self.project(required=project), verbose=self.verbose > 0)
            if not self._client.warm:
                from edgecli import logs

                logs.configure(traces=self.debug, libraries=self.debug)
        return self._client

    def close(self) -> None:
        """End what the call started."""
        if self._client is not None:
            self._client.close()
            self._client = None


_current = Common()


def common() -> Common:
    """Return the common options of the running command."""
    return _current


def _store(name: str) -> Callable[..., Any]:
    def remember(value: Any) -> Any:
        if value:
            setattr(_current, name, Path(value) if name in {"config", "cwd"} else value)
            if name == "cwd":
                _change_directory(Path(value))
        return value

    return remember


def _change_directory(target: Path) -> None:
    try:
        os.chdir(target)
    except OSError as error:
        raise UsageError(
            f"Cannot change to the directory `{target}`: {error.strerror}.", hint="Give --cwd a directory that exists."
        ) from error
    _current.cwd = Path.cwd()


def _common_options() -> list[TyperOption]:
    panel = "Common options"

    def option(name: str, *decls: str, **extra: Any) -> TyperOption:
        remember = _store(name)
        return TyperOption(
            param_decls=[f"common_{name}", *decls],
            callback=lambda ctx, param, value: remember(value),  # pyright: ignore[reportUnknownLambdaType]
            expose_value=False,
            rich_help_panel=panel,
            **extra,
        )

    extra: dict[str, dict[str, Any]] = {
        "cwd": {"is_eager": True},
        "env": {"envvar": "CLOUDFLARE_ENV"},
        "json": {"is_flag": True},
        "verbose": {"count": True},
        "debug": {"is_flag": True},
    }
    options: list[TyperOption] = []
    for flags, metavar, text in COMMON_OPTIONS:
        decls = flags.split(", ")
        name = decls[0].removeprefix("--")
        options.append(
            option(
                name,
                *decls,
                metavar=metavar or (" " if "count" in extra.get(name, {}) else None),
                help=text,
                **extra.get(name, {}),
            )
        )
    return options


def finite(value: float | None) -> float | None:
    """Refuse NaN and infinity, which JSON cannot carry, as an option's value."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number.")
    return value


class EdgeCommand(TyperCommand):
    """A command that also takes the common options."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        taken = {opt for param in self.params for opt in param.opts}
        self.params.extend(option for option in _common_options() if not taken.intersection(option.opts))


class Late(NamedTuple):
    """Where a command or group lives, and its line in the help, so that listing it imports nothing."""

    target: str
    """`module:name` of a Typer app or of a function."""
    help: str


class EdgeGroup(TyperGroup):
    """A group whose members are imported when they are called."""

    late: dict[str, Late] = {}  # noqa: RUF012 - filled by the subclass that app.py makes
    listing = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.extend(_common_options())

    def list_commands(self, ctx: Any) -> list[str]:
        return [*self.late, *(name for name in super().list_commands(ctx) if name not in self.late)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        entry = self.late.get(cmd_name)
        if entry is None:
            return super().get_command(ctx, cmd_name)
        if self.listing:
            return EdgeCommand(name=cmd_name, help=entry.help)
        return _load(cmd_name, entry)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        self.listing = True
        super().format_help(ctx, formatter)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name = args[0]
        if name not in self.list_commands(ctx) and not name.startswith("-"):
            known = [entry for entry in self.list_commands(ctx) if not entry.startswith("_")]
            hint = did_you_mean(name, known) or f"`{ctx.command_path} --help` lists the commands."
            if elsewhere := FAMILIAR.get(name) if ctx.parent is None else name if name in COMMANDS else None:
                hint = f"That is `edgecli {elsewhere}`."
            raise UsageError(
                f"`{ctx.command_path}` has no command `{name}`.",
                hint=hint,
                code="no_such_command",
            )
        return super().resolve_command(ctx, args)


def _load(name: str, entry: Late) -> Any:
    module_name, _, attribute = entry.target.partition(":")
    target = getattr(importlib.import_module(module_name), attribute)
    if isinstance(target, typer.Typer):
        command: Any = typer.main.get_group(target)
        command.name = name
        return command
    single = EdgeTyper()
    single.command(name, help=entry.help)(target)
    return typer.main.get_command(single)


class EdgeTyper(typer.Typer):
    """A Typer app whose commands take the common options."""

    def __init__(self, **kwargs: Any) -> None:
        settings: dict[str, Any] = {
            "cls": EdgeGroup,
            "no_args_is_help": True,
            "add_completion": False,
            "pretty_exceptions_enable": False,
            "rich_markup_mode": "rich",
            "context_settings": {"help_option_names": ["-h", "--help"]},
        }
        super().__init__(**(settings | kwargs))

    def command(self, name: str | None = None, **kwargs: Any) -> Callable[..., Any]:
        kwargs.setdefault("cls", EdgeCommand)
        return super().command(name, **kwargs)


def run(app: typer.Typer, argv: list[str] | None = None) -> int:
    """Run one call of the command line and return its exit code; no exception leaves this function."""
    global _current
    _current = Common()
    arguments = sys.argv[1:] if argv is None else argv
    with _sigterm_as_exit():
        code = _run_guarded(app, arguments)
        return _close(arguments) or code


def _run_guarded(app: typer.Typer, arguments: list[str]) -> int:
    try:
        return _run_and_flush(app, arguments)
    except BrokenPipeError:
        return _reader_gone()
    except SystemExit as stop:
        # Typer ends the process itself where a pipe is closed.
        if isinstance(stop.__context__, BrokenPipeError):
            return _reader_gone()
        return stop.code if isinstance(stop.code, int) else ExitCode.FAILED
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED


def _close(arguments: list[str]) -> int:
    """End what the call started; return an exit code other than 0 if that failed."""
    try:
        _current.close()
    except KeyboardInterrupt:
        # Nobody wants to wait for a batch that is being computed. Each store survives a kill.
        os._exit(ExitCode.INTERRUPTED)
    except SystemExit as stop:  # SIGTERM
        os._exit(stop.code if isinstance(stop.code, int) else ExitCode.FAILED)
    except Exception as error:
        return report(error, arguments)
    return ExitCode.DONE


def _reader_gone() -> int:
    """Give up stdout: the reader has left (`edgecli … | head`), and there is nobody to tell."""
    stdio.give_up_stdout()
    return stdio.READER_GONE


@contextmanager
def _sigterm_as_exit() -> Generator[None]:
    """Let SIGTERM unwind the command, so that it cleans up as after Ctrl-C; a second one ends it at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: object) -> None:
        del frame
        signal.signal(number, signal.SIG_DFL)
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _run_and_flush(app: typer.Typer, arguments: list[str]) -> int:
    from edgecli import console

    try:
        result = app(args=arguments, standalone_mode=False, prog_name="edgecli")
        sys.stdout.flush()
        return result if isinstance(result, int) else ExitCode.DONE
    except (KeyboardInterrupt, typer.Abort):
        console.note("Interrupted.")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        raise
    except typer.Exit as stop:
        return stop.exit_code
    except OSError as error:
        unwritten = stdio.failure_of_stdout()
        if unwritten is None:
            return report(error, arguments)
        if isinstance(unwritten, BrokenPipeError):
            return _reader_gone()
        return report(stdio.output_error(unwritten), arguments)
    except Exception as error:
        return report(error, arguments)


def report(error: Exception, arguments: list[str]) -> int:
    """Print an error as the call wants it, and return its exit code."""
    if not isinstance(error, EdgeError):
        return _unexpected(error, arguments)
    from edgecli import console

    if _current.debug:
        console.trace(error)
    console.error(error, as_json=_current.json or "--json" in arguments)
    return error.exit_code


def _unexpected(error: Exception, arguments: list[str]) -> int:
    from edgecli import console

    as_json = _current.json or "--json" in arguments
    format_message = getattr(error, "format_message", None)
    if callable(format_message):  # a usage error of Typer's own parser
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else "edgecli"
        message = str(format_message()) or "The command is incomplete."
        message = message.replace("is not a valid int range.", "is not a whole number.")
        console.error(UsageError(message, hint=f"`{path} --help` shows how to call it."), as_json=as_json)
        return ExitCode.USAGE
    if _current.debug:
        console.trace(error)
    console.error(
        EdgeError(
            f"Unexpected {type(error).__name__}: {error}",
            hint="This is a fault of edgecli. Run the command again with --debug and report what it prints.",
            code="internal",
        ),
        as_json=as_json,
    )
    return ExitCode.FAILED
