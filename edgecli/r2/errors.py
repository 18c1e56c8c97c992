"""What R2 refuses, with the numbers and texts of the cloud."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from edgecli.errors import EdgeError

if TYPE_CHECKING:
    from edgecli.r2.schema import StoredObject


class R2Error(EdgeError):
    """A call that R2 refuses; `cf_code` is the number that a Worker sees."""

    found: StoredObject | None = None
    """The object as it is, where a condition did not hold."""


def _refusal(cf_code: int, message: str, status: int = 400) -> Callable[[], R2Error]:
    return lambda: R2Error(message, code="r2_refused", cf_code=cf_code, status=status)


no_such_bucket = _refusal(10006, "The specified bucket does not exist.", 404)
bucket_exists = _refusal(10004, "The bucket you tried to create already exists, and you own it.", 409)
bucket_not_empty = _refusal(10008, "The bucket you tried to delete is not empty.", 409)
bad_bucket_name = _refusal(10005, "The specified bucket name is not valid: 3 to 63 of a-z, 0-9 and `-`.")
no_such_key = _refusal(10007, "The specified key does not exist.", 404)
entity_too_small = _refusal(10011, "Your proposed upload is smaller than the minimum allowed object size.")
metadata_too_large = _refusal(10012, "Your metadata headers exceed the maximum allowed metadata size.")
invalid_object_name = _refusal(10020, "The specified object name is not valid.")
invalid_max_keys = _refusal(10022, "MaxKeys params must be positive integer <= 1000.")
no_such_upload = _refusal(10024, "The specified multipart upload does not exist.")
invalid_part = _refusal(10025, "One or more of the specified parts could not be found.")
precondition_failed = _refusal(10031, "At least one of the pre-conditions you specified did not hold.", 412)
invalid_range = _refusal(10039, "The requested range is not satisfiable", 416)
bad_upload = _refusal(10048, "There was a problem with the multipart upload.")
entity_too_large = _refusal(100100, "Your proposed upload exceeds the maximum allowed object size.")


def invalid_argument(what: str) -> R2Error:
    """Return the error for a request of another form."""
    return R2Error(f"Metadata missing or invalid: {what}", code="r2_refused", cf_code=10029, status=400)


def bad_digest(algorithm: str, given: bytes, computed: bytes) -> R2Error:
    """Return the error for bytes that have another checksum than the caller says."""
    return R2Error(
        f"The {algorithm} checksum you specified did not match what we received.\n"
        f"You provided a {algorithm} checksum with value: {given.hex()}\nActual {algorithm} was: {computed.hex()}",
        code="r2_refused",
        cf_code=10037,
        status=400,
    )
