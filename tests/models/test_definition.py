from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgecli.errors import ConfigError
from edgecli.models.catalog import Catalog

GOOD = {"task": "Text Generation", "engine": "llama_cpp", "source": "https://models.example/a.gguf"}


def resolve(table: dict[str, Any], folder: Path | None = None) -> Any:
    return Catalog.load({"@my/model": table}, origin="wrangler.toml", folder=folder).resolve("@my/model")


def test_a_project_may_define_a_model() -> None:
    spec = resolve(GOOD | {"context": 4096, "licence": "MIT", "capabilities": ["tools"]})
    assert spec.files[0].name == "a.gguf"
    assert (spec.context, spec.licence, spec.capabilities) == (4096, "MIT", ("tools",))
    assert spec.origin == "wrangler.toml"


def test_a_relative_file_counts_from_the_configurations_folder(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    spec = resolve(GOOD | {"source": "file:weights"}, tmp_path)
    assert spec.files[0].source == f"file:{tmp_path}/weights/"
    assert spec.files[0].name == ""


def test_the_home_folder_is_expanded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve(GOOD | {"source": "file:~/a.gguf"}).files[0].source == f"file:{tmp_path}/a.gguf"


def test_one_hash_is_that_of_the_file() -> None:
    spec = resolve(GOOD | {"source": None, "files": [{"source": "https://x.example/a.gguf", "sha256": "AB" * 32}]})
    assert spec.files[0].sha256 == {"a.gguf": "ab" * 32}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "Text Generating"}, '`task` is "Text Generating"; expected one of "Text Generation"'),
        ({"task": None}, "`task` is missing"),
        ({"engine": "lama_cpp"}, '`engine` is "lama_cpp"'),
        ({"engine": 7}, "`engine` is 7; a string was expected"),
        ({"context": 0}, "`context` is 0; a positive whole number"),
        ({"context": True}, "`context` is True"),
        ({"pooling": "max!"}, '`pooling` is "max!"'),
        ({"capabilities": "tools"}, "`capabilities` is 'tools'; a list of strings"),
        ({"neurons": 3}, "`neurons` is 3; a table of numbers"),
        ({"contxt": 5}, "`contxt` is not a key of a model"),
        ({"source": None, "files": "hf:a/b/c"}, "`files` is 'hf:a/b/c'; a list of sources"),
        ({"source": None, "files": [3]}, r"`files\[0\]` is 3"),
        (
            {"source": None, "files": [{"source": "hf:a/b/c", "nam": "x"}]},
            r"`files\[0\].nam` is not a key of a file",
        ),
        ({"source": None, "files": [{"source": "hf:a/b/c", "name": "../c"}]}, r"`files\[0\].name` is wrong"),
        ({"source": None, "files": [{"source": "hf:a/b/c", "sha256": "12"}]}, r"`files\[0\].sha256` is '12'"),
        ({"source": None, "files": [{"source": "hf:a/b/c", "size": "1 GB"}]}, r"`files\[0\].size` is '1 GB'"),
    ],
)
def test_a_wrong_definition_names_the_key_its_value_and_what_was_expected(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        resolve({key: value for key, value in (GOOD | change).items() if value is not None})
    assert caught.value.message.startswith('[edgecli.models."@my/model"] in wrangler.toml: ')


def test_a_stand_in_that_also_defines_is_refused() -> None:
    with pytest.raises(ConfigError, match="`use` must be a model id, alone"):
        resolve(GOOD | {"use": "@edge/smollm2-135m-instruct"})
