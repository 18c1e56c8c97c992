"""Where Chroma holds the indexes: a directory that this process owns, or a server that others use too."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecli.errors import ConfigError, EdgeError, StateError, UpstreamError

if TYPE_CHECKING:
    from edgecli.config.settings import VectorizeSettings

REPAIR = "edgecli vectorize verify --repair"
_SECONDS = 10.0
"""How long a server may take to say that it is there."""


@dataclass(frozen=True, slots=True)
class Directory:
    """Chroma in this process, on a directory of its own."""

    path: Path

    def __str__(self) -> str:
        return f"`{self.path}`"

    @property
    def suffix(self) -> str:
        """What ends the names of the directories that belong to this place."""
        return ""

    def connect(self) -> Any:
        """Open Chroma's client. It raises what it likes."""
        import chromadb
        from chromadb.config import Settings

        self.path.mkdir(parents=True, exist_ok=True)
        return chromadb.PersistentClient(str(self.path), settings=Settings(anonymized_telemetry=False))

    def failed(self, action: str, error: BaseException) -> EdgeError:
        """Return the error for a call of Chroma that failed."""
        return StateError(
            f"Chroma could not {action} the vectors in {self}: {error}",
            hint=f"Check the disk's free space and the directory's rights; `{REPAIR}` looks at all vectors and mends.",
            code="vector_store",
        )


@dataclass(frozen=True, slots=True)
class Server:
    """A Chroma server."""

    url: str
    token: str = field(default="", repr=False)
    tenant: str = "default_tenant"
    database: str = "default_database"

    def __str__(self) -> str:
        return f"{self.url} (tenant `{self.tenant}`, database `{self.database}`)"

    @property
    def suffix(self) -> str:
        """What ends the names of the directories that belong to this place."""
        key = "\0".join((self.url, self.tenant, self.database))
        return f"-{hashlib.sha256(key.encode()).hexdigest()[:16]}"

    def _headers(self) -> dict[str, str]:
        # Chroma's cloud reads the second, servers behind a proxy the first.
        return {"Authorization": f"Bearer {self.token}", "X-Chroma-Token": self.token} if self.token else {}

    def connect(self) -> Any:
        """Open Chroma's client. Raises UpstreamError or ConfigError that says what the server is not."""
        self.check()
        import chromadb
        from chromadb.config import Settings

        client: Any = chromadb.HttpClient(
            self.url,
            ssl=self.url.startswith("https:"),
            headers=self._headers(),
            settings=Settings(anonymized_telemetry=False),
            tenant=self.tenant,
            database=self.database,
        )
        return client

    def check(self) -> None:
        """Ask for the version, the tenant and the database. Raises UpstreamError or ConfigError that names it."""
        import httpx2

        tenant = f"tenants/{self.tenant}"
        self._check_secrets()
        try:
            with httpx2.Client(headers=self._headers(), timeout=_SECONDS) as client:
                for path in ("version", tenant, f"{tenant}/databases/{self.database}"):
                    answer = client.get(f"{self.url}/api/v2/{path}")
                    if answer.status_code in {401, 403}:
                        raise self._refused(answer.status_code)
                    if path == "version" and not _is_version(answer):
                        raise self._no_chroma(answer.status_code)
                    if answer.status_code == 404:
                        raise self._missing("tenant" if path == tenant else "database")
                    if answer.status_code >= 400:
                        raise self._answered(f"status {answer.status_code}: {answer.text[:200]}")
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise self._unreachable(error) from error

    def _check_secrets(self) -> None:
        # The HTTP libraries show what they cannot send, or encode.
        if "@" in self.url:
            raise ConfigError(
                "The `url` in [edgecli.vectorize] holds a user name or a password.",
                hint="Take it out; a token comes from EDGECLI_VECTORIZE_TOKEN, in the environment or in .dev.vars.",
                code="chroma_url",
            )
        if not (self.token.isascii() and self.token.isprintable()) or " " in self.token:
            raise ConfigError(
                "The token for the Chroma server holds a character that no token has.",
                hint="Set EDGECLI_VECTORIZE_TOKEN to printable ASCII without spaces.",
                code="chroma_token",
            )

    def _unreachable(self, error: BaseException) -> EdgeError:
        return UpstreamError(
            f"The Chroma server at {self.url} does not answer: {error or type(error).__name__}.",
            hint="Start it (`chroma run --path DIRECTORY`), or correct `url` in [edgecli.vectorize].",
            code="chroma_unreachable",
        )

    def _refused(self, status: int) -> EdgeError:
        what = "the token" if self.token else "a call without a token"
        return ConfigError(
            f"The Chroma server at {self.url} refuses {what} (status {status}).",
            hint="Set EDGECLI_VECTORIZE_TOKEN, in the environment or in .dev.vars, to one that it accepts.",
            code="chroma_token",
        )

    def _no_chroma(self, status: int) -> EdgeError:
        return ConfigError(
            f"What answers at {self.url} is no Chroma server of version 1 (status {status} for `/api/v2/version`).",
            hint="Correct `url` in [edgecli.vectorize], or update the server: versions below 1.0 speak another API.",
            code="chroma_version",
        )

    def _missing(self, kind: str) -> EdgeError:
        name = self.tenant if kind == "tenant" else self.database
        return ConfigError(
            f"The Chroma server at {self.url} has no {kind} `{name}`.",
            hint=f"Correct `{kind}` in [edgecli.vectorize], or create it on the server.",
            code=f"chroma_{kind}",
        )

    def _answered(self, what: str) -> EdgeError:
        return UpstreamError(
            f"The Chroma server at {self.url} failed: {what}",
            hint="Its own log says more.",
            code="chroma_failed",
        )

    def failed(self, action: str, error: BaseException) -> EdgeError:
        """Return the error for a call of Chroma that failed."""
        # Errors of chromadb's own HTTP library are not imported here: that would import chromadb.
        if any(base.__name__ in {"TransportError", "ConnectionError"} for base in type(error).__mro__):
            return self._unreachable(error)
        if type(error).__name__ in {"ChromaAuthError", "AuthorizationError"}:
            return self._refused(401)
        return self._answered(f"could not {action} the vectors: {error}")


Place = Directory | Server


def _is_version(answer: Any) -> bool:
    try:
        return answer.status_code == 200 and int(str(answer.json()).split(".")[0]) >= 1
    except ValueError:
        return False


def configured_server(settings: VectorizeSettings) -> Server | None:
    """Return the server that the settings name, None if the indexes are in the project."""
    if not settings.url:
        return None
    return Server(settings.url.rstrip("/"), settings.token.strip(), settings.tenant, settings.database)
