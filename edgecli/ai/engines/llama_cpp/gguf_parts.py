"""A model in several files: `model-00001-of-00003.gguf` and so on. Source: llama-model-loader.cpp."""

from __future__ import annotations

import re

from edgecli.ai.engines.llama_cpp.broken import broken
from edgecli.ai.engines.llama_cpp.gguf_file import MAX_TENSORS, GgufFile, read_file

_NAME = re.compile(r"(?P<stem>.*)-(?P<number>[0-9]{5})-of-(?P<count>[0-9]{5})\.gguf", re.DOTALL)


def read_parts(first: GgufFile) -> tuple[GgufFile, ...]:
    """Return a file and the parts that belong to it, in order.

    Raises EngineError, code `model_load_failed`, if it is not the first of them, or one is missing or of another
    model.
    """
    count = _split_number(first, "split.count", default=1)
    if count <= 1:
        return (first,)
    match = _NAME.fullmatch(first.path.name)
    if match is None or int(match["count"]) != count:
        raise broken(
            first.path, f"it is one of {count} parts, but its name does not end in `-00001-of-{count:05}.gguf`"
        )
    paths = [first.path.with_name(f"{match['stem']}-{number:05}-of-{count:05}.gguf") for number in range(1, count + 1)]
    if _split_number(first, "split.no") != 0 or int(match["number"]) != 1:
        raise broken(first.path, f"it is not the first of its {count} parts, which is `{paths[0].name}`")
    for path in paths:
        if not path.exists():
            raise broken(first.path, f"it has {count} parts, and `{path.name}` is not beside it")
    parts = [first]
    names = {tensor.name for tensor in first.tensors}
    for number, path in enumerate(paths[1:], 1):
        part = read_file(path)
        if _split_number(part, "split.no") != number or _split_number(part, "split.count", default=count) != count:
            raise broken(path, f"it is not part {number + 1} of {count} that its name says")
        _add_names(part, names)
        parts.append(part)
    said = first.metadata.get("split.tensors.count")
    if said != len(names):
        raise broken(first.path, f"its parts hold {len(names)} tensors, and it says {said!r}")
    return tuple(parts)


def _add_names(part: GgufFile, names: set[str]) -> None:
    for tensor in part.tensors:
        if tensor.name in names:
            raise broken(part.path, f"the tensor `{tensor.name}` is in another part, too")
        names.add(tensor.name)
    if len(names) > MAX_TENSORS:
        raise broken(part.path, f"its parts hold more than {MAX_TENSORS} tensors")


def _split_number(file: GgufFile, key: str, *, default: int | None = None) -> int:
    value = file.metadata.get(key, default)
    if not isinstance(value, int) or file.kinds.get(key, "uint16") != "uint16":
        raise broken(file.path, f"it is a part of a model, and its `{key}` is missing or of another type than uint16")
    return value
