"""Keep objects in buckets. A write that was answered is on the disk."""

from __future__ import annotations

from collections.abc import AsyncIterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from edgecli.byte_keys import after_key, from_cursor, to_cursor
from edgecli.r2 import catalog, errors
from edgecli.r2.files import Files, Reading, damaged
from edgecli.r2.schema import (
    MAX_LIST,
    AskedRange,
    Attributes,
    Condition,
    Range,
    StoredObject,
    check_attributes,
    check_key,
    milliseconds,
    new_version,
)
from edgecli.r2.uploads import Uploads
from edgecli.state import Database, now

LISTED_BYTES = 768 << 10
"""Bytes after which a page of a listing ends: workerd takes no answer over 1 MiB."""


@dataclass(frozen=True, slots=True)
class Body:
    """An object that is being read."""

    found: StoredObject
    range: Range
    chunks: Reading
    """To be closed, read or not."""

    async def whole(self) -> bytes:
        """Return all bytes of the range."""
        async with aclosing(self.chunks) as chunks:
            return b"".join([data async for data in chunks])


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of a bucket."""

    objects: list[StoredObject]
    prefixes: list[str]
    cursor: str | None
    """Where the next page begins; None after the last."""


class R2Service:
    """The buckets of one project; each comes into being with its first object."""

    def __init__(self, folder: Path) -> None:
        self.files = Files(folder / "objects")
        self.database = Database(folder / "r2.db")
        self.database.migrate(catalog.MIGRATIONS)
        self.files.collect(self.database.run_sync(catalog.known_files))

    def open_bucket(self, name: str) -> Bucket:
        """Return a bucket, whether or not it has objects yet."""
        return Bucket(self, name)

    async def buckets(self) -> dict[str, str | None]:
        """Return the buckets that were created or hold an object, each with the time of its creation, if it was."""
        return await self.database.run(catalog.buckets)

    async def create(self, name: str) -> str:
        """Create an empty bucket; return the time, ISO 8601. Raises R2Error where there is one."""
        created = now()
        await self.database.run(lambda connection: catalog.create_bucket(connection, name, created))
        return created

    async def delete(self, name: str) -> None:
        """Delete an empty bucket. Raises R2Error for one that holds an object."""
        await self.database.run(lambda connection: catalog.delete_bucket(connection, name))

    async def close(self) -> None:
        """Finish what is queued and close the database."""
        self.database.close()


class Bucket:
    """The objects of one bucket."""

    def __init__(self, service: R2Service, name: str) -> None:
        self.name = name
        self.uploads = Uploads(service.database, service.files, name)
        self._database = service.database
        self._files = service.files

    async def put(
        self,
        key: str,
        source: AsyncIterable[bytes],
        *,
        attributes: Attributes | None = None,
        condition: Condition | None = None,
        checksums: Mapping[str, bytes] | None = None,
    ) -> StoredObject:
        """Write an object, never more than a block of it in memory.

        Raises R2Error for a key or metadata that is too long, for bytes with other `checksums`, and where the
        condition does not hold. As long as this has not returned, the object is what it was.
        """
        check_key(key)
        attributes = attributes or Attributes()
        check_attributes(attributes)
        checksums = checksums or {}
        written = await self._files.write(source, checksums)
        try:
            for name, given in checksums.items():
                if given != written.digests[name]:
                    raise errors.bad_digest(_ALGORITHMS[name], given, written.digests[name])
            found = StoredObject(
                key,
                new_version(),
                written.piece.size,
                written.digests["md5"].hex(),
                milliseconds(),
                {name: written.digests[name].hex() for name in ("md5", *checksums)},
                attributes,
                (written.piece,),
            )
            replaced = await self._database.run(lambda connection: catalog.put(connection, self.name, found, condition))
        except Exception:  # a call that is given up may be written all the same
            self._files.delete([written.piece.file])
            raise
        self._files.delete(replaced)
        return found

    async def head(self, key: str) -> StoredObject:
        """Return what is known of an object. Raises R2Error, status 404, if there is none."""
        name = check_key(key)
        found = await self._database.run(lambda connection: catalog.find(connection, self.name, name))
        if found is None:
            raise errors.no_such_key()
        return found

    async def get(self, key: str, *, asked: AskedRange | None = None, condition: Condition | None = None) -> Body:
        """Open an object, or a range of it.

        Raises R2Error: status 404 if there is none, 412 if the condition does not hold, 416 for a range that it
        has not.
        """
        found = await self.head(key)
        while True:
            if condition is not None:
                condition.check(found)
            wanted = asked.of(found.size) if asked else Range(0, found.size)
            if (chunks := self._files.read(found.pieces, wanted)) is not None:
                return Body(found, wanted, chunks)
            version, found = found.version, await self.head(key)
            if found.version == version:  # it was not replaced meanwhile
                raise damaged(key)

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete objects; those that are not there are no error."""
        names = [check_key(key) for key in keys]
        self._files.delete(await self._database.run(lambda connection: catalog.delete(connection, self.name, names)))

    async def list(
        self,
        *,
        prefix: str = "",
        delimiter: str = "",
        cursor: str | None = None,
        start_after: str | None = None,
        limit: int = MAX_LIST,
        metadata: bool = True,
    ) -> Listing:
        """Return a page of the objects in the order of their keys' bytes. Raises R2Error.

        It may have fewer than `limit`, where they are long; `metadata` says whether what callers gave counts.
        """
        if not 1 <= limit <= MAX_LIST:
            raise errors.invalid_max_keys()
        try:
            starts = [prefix.encode(), from_cursor(cursor or "")]
        except ValueError as error:
            raise errors.invalid_argument("`cursor` is not one that a listing came with") from error
        if start_after is not None:
            starts.append(after_key(start_after.encode()))
        page = await self._database.run(
            lambda connection: catalog.page(
                connection,
                self.name,
                prefix=prefix.encode(),
                start=max(starts),
                delimiter=delimiter.encode(),
                limit=limit,
                most_bytes=LISTED_BYTES,
                metadata=metadata,
            )
        )
        return Listing(page.objects, page.prefixes, None if page.next is None else to_cursor(page.next))


_ALGORITHMS = {"md5": "MD5", "sha1": "SHA-1", "sha256": "SHA-256", "sha384": "SHA-384", "sha512": "SHA-512"}
