"""LoRA adapters by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecli.ai.engines.generation import LoraAdapter
from edgecli.ai.loras import find_lora, lora_id
from edgecli.errors import ConfigError, EdgeError
from edgecli.models.catalog import Catalog
from edgecli.models.schema import ModelSpec

MODEL = "@edge/smollm2-135m-instruct"


def spec(folder: Path, loras: object, model: str = MODEL) -> ModelSpec:
    return Catalog.load({model: {"loras": loras}}, folder=folder).resolve(model)


def test_by_name_and_by_id(tmp_path: Path) -> None:
    (tmp_path / "terse.gguf").write_bytes(b"GGUF")
    both = spec(tmp_path, {"support": "file:gone.gguf", "terse": {"source": "file:terse.gguf", "scale": 0.5}})
    adapter = LoraAdapter(str(tmp_path / "terse.gguf"), 0.5)
    assert find_lora(both, "terse") == find_lora(both, lora_id(both, both.loras[1])) == adapter
    with pytest.raises(EdgeError, match=r"gone\.gguf") as caught:
        find_lora(both, "support")
    assert (caught.value.cf_code, caught.value.status) == (3039, 400)


def test_an_unknown_one(tmp_path: Path) -> None:
    with pytest.raises(EdgeError, match="No such LoRA adapter `tense`") as caught:
        find_lora(spec(tmp_path, {"terse": "file:terse.gguf"}), "tense")
    assert (caught.value.cf_code, caught.value.hint) == (3039, "Did you mean `terse`?")


def test_a_model_that_takes_none() -> None:
    with pytest.raises(EdgeError, match="does not support LoRA") as caught:
        find_lora(Catalog.load().resolve("@cf/meta/llama-3.1-8b-instruct"), "x")
    assert (caught.value.cf_code, caught.value.status) == (5005, 405)


@pytest.mark.parametrize(
    "wrong", [5, {"a": 5}, {"a": {"scale": 1}}, {"a": "hf:o/r/f"}, {"a": {"source": "file:x", "scale": "1"}}]
)
def test_wrong_definitions(tmp_path: Path, wrong: object) -> None:
    with pytest.raises(ConfigError, match="loras"):
        spec(tmp_path, wrong)
