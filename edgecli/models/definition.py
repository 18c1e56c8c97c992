"""A model's table, from the catalog or from a project's `[edgecli.models]`, read into a `ModelSpec`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from edgecli.errors import ConfigError, did_you_mean
from edgecli.models.schema import LoraFile, ModelFile, ModelSpec, Task
from edgecli.models.sources.address import LocalAddress, checked_name, default_name, parse

ENGINES = ("llama_cpp", "embedding", "whisper", "diffusion", "transformers", "openai")
POOLINGS = ("mean", "cls", "lasttoken", "max")
_FILE_KEYS = ("source", "name", "sha256", "size")
_KEYS = (
    "task",
    "engine",
    "files",
    "source",
    "description",
    "licence",
    "repository",
    "context",
    "dimensions",
    "pooling",
    "query_prefix",
    "passage_prefix",
    "capabilities",
    "defaults",
    "loras",
    "neurons",
)


def spec_from_table(model_id: str, table: Mapping[str, Any], *, origin: str, folder: Path | None = None) -> ModelSpec:
    """Read one model's table; relative `file:` sources count from `folder`.

    Raises ConfigError, code `model_definition`, that names the key, its value and what was expected.
    """
    return _Reader(model_id, table, origin, folder).spec()


@dataclass(frozen=True, slots=True)
class _Reader:
    model_id: str
    table: Mapping[str, Any]
    origin: str
    folder: Path | None

    def spec(self) -> ModelSpec:
        for key in self.table:
            if key not in _KEYS:
                raise self.wrong(key, "is not a key of a model", hint=did_you_mean(key, _KEYS))
        neurons = self.numbers("neurons")
        return ModelSpec(
            id=self.model_id,
            task=Task(self.choice("task", tuple(Task), required=True)),
            engine=str(self.choice("engine", ENGINES, required=True)),
            files=tuple(self.files()),
            description=self.text("description") or "",
            licence=self.text("licence"),
            context=self.count("context"),
            dimensions=self.count("dimensions"),
            pooling=self.choice("pooling", POOLINGS),
            query_prefix=self.text("query_prefix") or "",
            passage_prefix=self.text("passage_prefix") or "",
            capabilities=tuple(self.texts("capabilities")),
            defaults=self.numbers("defaults"),
            loras=tuple(self.loras()),
            neurons_input=neurons.pop("input", None),
            neurons_output=neurons.pop("output", None),
            neurons_other=neurons,
            repository=self.text("repository"),
            origin=self.origin,
        )

    def wrong(self, key: str, problem: str, *, hint: str | None = None) -> ConfigError:
        return ConfigError(
            f'[edgecli.models."{self.model_id}"] in {self.origin}: `{key}` {problem}.',
            hint=hint,
            code="model_definition",
        )

    def text(self, key: str) -> str | None:
        value = self.table.get(key)
        if value is not None and not isinstance(value, str):
            raise self.wrong(key, f"is {value!r}; a string was expected")
        return value

    def choice(self, key: str, choices: tuple[str, ...], *, required: bool = False) -> str | None:
        value = self.text(key)
        if value is None:
            if required:
                raise self.wrong(key, "is missing", hint="One of: " + ", ".join(f'"{each}"' for each in choices) + ".")
            return None
        if value not in choices:
            expected = ", ".join(f'"{each}"' for each in choices)
            raise self.wrong(key, f'is "{value}"; expected one of {expected}', hint=did_you_mean(value, choices))
        return value

    def count(self, key: str) -> int | None:
        value = self.table.get(key)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
            raise self.wrong(key, f"is {value!r}; a positive whole number was expected")
        return value

    def texts(self, key: str) -> list[str]:
        value = self.table.get(key, [])
        if not isinstance(value, list) or not all(isinstance(each, str) for each in cast("list[Any]", value)):
            raise self.wrong(key, f"is {value!r}; a list of strings was expected")
        return cast("list[str]", value)

    def numbers(self, key: str) -> dict[str, float]:
        value = self.table.get(key, {})
        entries = cast("dict[str, Any]", value) if isinstance(value, dict) else None
        if entries is None or not all(isinstance(each, int | float) for each in entries.values()):
            raise self.wrong(key, f"is {value!r}; a table of numbers was expected")
        return {unit: float(price) for unit, price in entries.items()}

    def files(self) -> list[ModelFile]:
        entries = self.table.get("files", [])
        source = self.text("source")
        if source is not None:
            entries = [source]
        if not isinstance(entries, list):
            raise self.wrong("files", f"is {entries!r}; a list of sources was expected")
        return [self.file(f"files[{number}]", entry) for number, entry in enumerate(cast("list[Any]", entries))]

    def file(self, key: str, entry: Any) -> ModelFile:
        table = {"source": entry} if isinstance(entry, str) else entry
        if not isinstance(table, dict) or not isinstance(cast("dict[str, Any]", table).get("source"), str):
            raise self.wrong(key, f"is {entry!r}; a source, or a table with `source`, was expected")
        fields = cast("dict[str, Any]", table)
        for name in fields:
            if name not in _FILE_KEYS:
                raise self.wrong(f"{key}.{name}", "is not a key of a file", hint=did_you_mean(name, _FILE_KEYS))
        size = fields.get("size")
        if size is not None and not isinstance(size, int):
            raise self.wrong(f"{key}.size", f"is {size!r}; a number of bytes was expected")
        source = self.absolute(fields["source"])
        try:
            name = fields.get("name", default_name(source))
            return ModelFile(
                source=source,
                name=checked_name(name.rstrip("/")) if name else "",
                sha256=self.hashes(key, fields.get("sha256"), name),
                size=size,
            )
        except ValueError as error:
            raise self.wrong(f"{key}.name", f"is wrong: {error}") from error

    def loras(self) -> list[LoraFile]:
        value = self.table.get("loras", {})
        if not isinstance(value, dict):
            raise self.wrong("loras", f"is {value!r}; a table of adapters by name was expected")
        return [self.lora(name, entry) for name, entry in cast("dict[str, Any]", value).items()]

    def lora(self, name: str, entry: Any) -> LoraFile:
        table: Any = {"source": entry} if isinstance(entry, str) else entry
        source = cast("dict[str, Any]", table).get("source") if isinstance(table, dict) else None
        address = parse(source) if isinstance(source, str) else None
        if not isinstance(address, LocalAddress):
            raise self.wrong(f"loras.{name}", f"is {entry!r}; a GGUF file, `file:…`, was expected")
        scale = table.get("scale", 1.0)
        if not isinstance(scale, int | float) or isinstance(scale, bool):
            raise self.wrong(f"loras.{name}.scale", f"is {scale!r}; a number was expected")
        return LoraFile(name, str((self.folder or Path.cwd()) / Path(address.path).expanduser()), float(scale))

    def hashes(self, key: str, value: Any, name: str) -> dict[str, str]:
        if value is None:
            return {}
        table: Any = {name: value} if isinstance(value, str) and name else value
        if not isinstance(table, dict) or not all(
            isinstance(each, str) and len(each) == 64 for each in cast("dict[str, Any]", table).values()
        ):
            raise self.wrong(f"{key}.sha256", f"is {value!r}; a hash of 64 hexadecimal digits was expected")
        return {path: digest.lower() for path, digest in cast("dict[str, str]", table).items()}

    def absolute(self, source: str) -> str:
        address = parse(source)
        if not isinstance(address, LocalAddress):
            return source
        path = (self.folder or Path.cwd()) / Path(address.path).expanduser()
        slash = "/" if address.path.endswith("/") or path.is_dir() else ""
        return f"file:{path}{slash}"
