"""`file:` sources: a file or a folder of this machine, copied into the store."""

from __future__ import annotations

from pathlib import Path

from edgecli.errors import NotFoundError
from edgecli.models.durable import copy
from edgecli.models.schema import ModelFile
from edgecli.models.sources.address import LocalAddress
from edgecli.models.sources.fetched import Fetched, FetchedFile, Report


class LocalSource:
    """Copy from this machine. A hard link would let a later edit of the user's file change the store's."""

    def __init__(self, file: ModelFile, address: LocalAddress) -> None:
        self._file = file
        self._root = Path(address.path).expanduser()

    def needed(self, into: Path) -> int | None:
        """Return the size of the files; Raises NotFoundError if there are none."""
        return sum(path.stat().st_size for path in self._files().values())

    def fetch(self, into: Path, report: Report) -> Fetched:
        """Copy each file. A copy that was cut is begun again."""
        fetched = Fetched(resolved=self._file.source)
        for number, (name, path) in enumerate(self._files().items()):
            total = path.stat().st_size
            target = into / str(number)
            copy(path, target, lambda done, name=name, total=total: report("download", name, done, total))
            fetched.files.append(FetchedFile(name, target))
        return fetched

    def _files(self) -> dict[str, Path]:
        """Return name below the model's folder -> path."""
        prefix = self._file.name
        if self._root.is_file():
            return {prefix or self._root.name: self._root}
        found = sorted(path for path in self._root.rglob("*") if path.is_file()) if self._root.is_dir() else []
        if not found:
            raise NotFoundError(
                f"`{self._root}` is no file, and no folder with files in it.",
                hint="Check the `file:` source; a relative path counts from the configuration's folder.",
                code="source_not_found",
            )
        names = {path: path.relative_to(self._root).as_posix() for path in found}
        return {f"{prefix}/{name}" if prefix else name: path for path, name in names.items()}
