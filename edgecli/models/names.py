"""Model ids as names of folders, on any file system."""

from __future__ import annotations

import hashlib

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789@-_")
_LONGEST = 150
_RESERVED = frozenset({"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))})


def folder_name(model_id: str) -> str:
    """Return a folder name that no other id has, even where the file system ignores case.

    `@cf/baai/bge-m3` becomes `@cf+baai+bge-m3`. Capitals, dots at the ends and rare characters are written as
    `%` and two hexadecimal digits per byte of UTF-8; a long name ends in a hash.
    """
    name = "".join(_escaped(character, place, len(model_id)) for place, character in enumerate(model_id))
    if name in _RESERVED:
        name = f"%{ord(name[0]):02x}{name[1:]}"
    if not name or len(name) > _LONGEST:
        name = f"{name[:100]}~{hashlib.sha256(model_id.encode()).hexdigest()[:32]}"
    return name


def _escaped(character: str, place: int, length: int) -> str:
    if character in _PLAIN or (character == "." and 0 < place < length - 1):
        return character
    if character == "/":
        return "+"
    return "".join(f"%{byte:02x}" for byte in character.encode("utf-8", "surrogatepass"))
