"""What a key, a value and its metadata may be, and what the cloud says of others."""

from __future__ import annotations

import json
import time

from edgecli.errors import UsageError

MAX_KEY = 512
MAX_VALUE = 25 << 20
MAX_METADATA = 1024
"""Bytes, as JSON."""
MAX_LIST = 1000
MAX_BULK = 100
MIN_TTL = 60
"""Seconds."""
MIN_CACHE_TTL = 30


def refused(message: str, status: int = 400) -> UsageError:
    """Return the error for a call that KV does not take; `message` is what the cloud says."""
    return UsageError(message, code="kv_refused", status=status)


def check_key(key: str) -> bytes:
    """Return the key's bytes. Raises UsageError."""
    if not key:
        raise refused("Key names must not be empty")
    if key in {".", ".."}:
        raise refused(f'Illegal key name "{key}". Please use a different name.')
    return _short(key)


def check_prefix(prefix: str) -> bytes:
    """Return the prefix's bytes. Raises UsageError."""
    return _short(prefix)


def _short(text: str) -> bytes:
    try:
        encoded = text.encode()
    except UnicodeEncodeError as error:
        raise refused("Could not URL-decode key name") from error
    if len(encoded) > MAX_KEY:
        raise refused(f"UTF-8 encoded length of {len(encoded)} exceeds key length limit of {MAX_KEY}.", 414)
    return encoded


def check_value(size: int) -> None:
    """Raise UsageError for a value of more than `MAX_VALUE` bytes."""
    if size > MAX_VALUE:
        raise refused(f"Value length of {size} exceeds limit of {MAX_VALUE}.", 413)


def check_metadata(metadata: str) -> None:
    """Raise UsageError unless it is JSON of at most `MAX_METADATA` bytes."""
    if (size := len(metadata.encode())) > MAX_METADATA:
        raise refused(f"Metadata length of {size} exceeds limit of {MAX_METADATA}.", 413)
    try:
        json.loads(metadata)
    except ValueError as error:
        raise refused("Metadata must be valid JSON.") from error


def check_limit(given: str) -> int:
    """Return how many keys a page may have. Raises UsageError."""
    limit = _integer(given)
    if limit is None or limit < 1:
        raise refused(f"Invalid key_count_limit of {given}. Please specify an integer greater than 0.")
    if limit > MAX_LIST:
        raise refused(f"Invalid key_count_limit of {given}. Please specify an integer less than {MAX_LIST}.")
    return limit


def check_cache_ttl(given: str) -> None:
    """Raise UsageError unless it is a time to live that the cloud's caches take; here it is without effect."""
    seconds = _integer(given)
    if seconds is None or seconds < MIN_CACHE_TTL:
        raise refused(f"Invalid cache_ttl of {given}. Cache TTL must be at least {MIN_CACHE_TTL}.")


def check_expiration(expiration: str | None, ttl: str | None) -> int | None:
    """Return the second of the UNIX epoch from which a value is gone, None for never. Raises UsageError."""
    now = int(time.time())
    if ttl is not None:
        seconds = _integer(ttl)
        if seconds is None or seconds <= 0:
            raise refused(f"Invalid expiration_ttl of {ttl}. Please specify integer greater than 0.")
        if seconds < MIN_TTL:
            raise refused(f"Invalid expiration_ttl of {ttl}. Expiration TTL must be at least {MIN_TTL}.")
        return now + seconds
    if expiration is None:
        return None
    moment = _integer(expiration)
    if moment is None or moment <= now:
        raise refused(
            f"Invalid expiration of {expiration}. Please specify integer greater than the current number of seconds "
            "since the UNIX epoch."
        )
    if moment < now + MIN_TTL:
        raise refused(
            f"Invalid expiration of {expiration}. Expiration times must be at least {MIN_TTL} seconds in the future."
        )
    return moment


def _integer(text: str) -> int | None:
    try:
        number = int(text)
    except ValueError:
        return None
    return number if abs(number) < 1 << 53 else None
