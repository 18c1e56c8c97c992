"""The requests of a Worker's R2 binding, as workerd's `r2-api.capnp` writes them in JSON, and its answers."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from edgecli.r2 import errors
from edgecli.r2.schema import DIGESTS, MAX_LIST, AskedRange, Attributes, Condition, Etag, Range, StoredObject

_UNSET = {2**32 - 1, 2**64 - 1}
"""What Cap'n Proto has for a number that was not given; 64 bits come as a text."""


def _number(value: Any) -> Any:
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    return None if value in _UNSET else value


Number = Annotated[int | None, BeforeValidator(_number)]


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)


class _Field(_Wire):
    k: str
    v: str


class _Etag(_Wire):
    type: Literal["strong", "weak", "wildcard"]
    value: str = ""


class _Condition(_Wire):
    etag_matches: list[_Etag] = []
    etag_does_not_match: list[_Etag] = []
    uploaded_before: Number = None
    uploaded_after: Number = None
    seconds_granularity: bool = False

    def read(self) -> Condition:
        return Condition(
            _etags(self.etag_matches),
            _etags(self.etag_does_not_match),
            self.uploaded_before,
            self.uploaded_after,
            self.seconds_granularity,
        )


def _etags(given: Sequence[_Etag]) -> tuple[Etag, ...] | None:
    return tuple(Etag(each.type, each.value) for each in given) or None


class _Range(_Wire):
    offset: Number = None
    length: Number = None
    suffix: Number = None


class _HttpFields(_Wire):
    content_type: str | None = None
    content_language: str | None = None
    content_disposition: str | None = None
    content_encoding: str | None = None
    cache_control: str | None = None
    cache_expiry: Number = None


class _Part(_Wire):
    etag: str
    part: int


class BindingRequest(_Wire):
    """One request; which fields it has depends on its method."""

    method: Literal[
        "head",
        "get",
        "put",
        "list",
        "delete",
        "createMultipartUpload",
        "uploadPart",
        "completeMultipartUpload",
        "abortMultipartUpload",
    ]
    object: str = ""
    objects: list[str] | None = None
    range: _Range | None = None
    range_header: str | None = None
    only_if: _Condition | None = None
    http_fields: _HttpFields = _HttpFields()
    custom_fields: list[_Field] = []
    storage_class: str = ""
    md5: str | None = None
    sha1: str | None = None
    sha256: str | None = None
    sha384: str | None = None
    sha512: str | None = None
    upload_id: str = ""
    part_number: int = 0
    parts: list[_Part] = []
    limit: Number = None
    prefix: str = ""
    cursor: str | None = None
    delimiter: str = ""
    start_after: str | None = None
    include: list[int] = []
    new_runtime: bool = False
    ssec: Any = None
    """A key to encrypt the object with."""

    @property
    def condition(self) -> Condition | None:
        """`onlyIf`."""
        return self.only_if.read() if self.only_if else None

    @property
    def asked_range(self) -> AskedRange | None:
        """`range`, as numbers or as a header."""
        if self.range_header is not None:
            return AskedRange(header=self.range_header)
        return AskedRange(self.range.offset, self.range.length, self.range.suffix) if self.range else None

    @property
    def attributes(self) -> Attributes:
        """What is to be kept beside the object."""
        return Attributes(
            self.http_fields.model_dump(by_alias=True, exclude_none=True),
            {field.k: field.v for field in self.custom_fields},
            self.storage_class or "Standard",
        )

    @property
    def checksums(self) -> dict[str, bytes]:
        """The checksums that the bytes must have: MD5 comes in base64, the others in hex."""
        given = {name: getattr(self, name) for name in DIGESTS}
        try:
            return {
                name: base64.b64decode(text, validate=True) if name == "md5" else bytes.fromhex(text)
                for name, text in given.items()
                if text
            }
        except (ValueError, binascii.Error) as error:
            raise errors.invalid_argument(str(error)) from error

    @property
    def most(self) -> int:
        """How many objects a listing may have."""
        return MAX_LIST if self.limit is None else self.limit


def read(text: bytes) -> BindingRequest:
    """Return the request. Raises R2Error, 10029."""
    try:
        request = BindingRequest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        raise errors.invalid_argument(f"`{'.'.join(map(str, first['loc']))}`: {first['msg']}") from error
    if request.ssec is not None:  # rather than keep in the clear what its owner wants to have encrypted
        raise errors.invalid_argument("edgecli does not encrypt objects; leave `ssecKey` out here")
    return request


def to_wire(found: StoredObject, got: Range | None = None, *, http: bool = True, custom: bool = True) -> dict[str, Any]:
    """Return an object as the binding reads it."""
    attributes = found.attributes
    wire: dict[str, Any] = {
        "name": found.key,
        "version": found.version,
        "size": found.size,
        "etag": found.etag,
        "uploaded": found.uploaded,
        "checksums": {
            str(number): found.checksums[name] for number, name in enumerate(DIGESTS) if name in found.checksums
        },
        "storageClass": attributes.storage_class,
        "httpFields": attributes.http if http else {},
        "customFields": [{"k": key, "v": value} for key, value in attributes.custom.items()] if custom else [],
    }
    if got is not None:
        wire["range"] = {"offset": got.offset, "length": got.length}
    return wire
