"""The reader of GGUF headers, against the package `gguf` of llama.cpp's makers."""

from __future__ import annotations

import ctypes
import struct
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from edgecli.ai.engines.llama_cpp.gguf_file import Stored, read_file, read_text
from edgecli.ai.engines.llama_cpp.gguf_header import GgufHeader, check_tokens, read_header
from edgecli.ai.engines.llama_cpp.gguf_types import FILES, REMOVED_TENSORS, TENSORS
from edgecli.errors import EngineError
from tests.ai.engines.llama_cpp.gguf_bytes import U16, Raw, header, llama, model, text, write_model


def refused(path: Path) -> str:
    with pytest.raises(EngineError) as caught:
        read_header(path)
    error = caught.value
    assert error.code == "model_load_failed"
    assert error.hint and "edgecli models verify" in error.hint
    start = f"The model file `{path}` cannot be loaded: "
    return error.message.removeprefix(start)


def agrees(ours: GgufHeader, path: Path) -> None:
    """Compare everything that both readers tell."""
    theirs = gguf.GGUFReader(path)
    fields = {name: field for name, field in theirs.fields.items() if not name.startswith("GGUF.")}
    assert list(ours.metadata) == list(fields)
    for name, field in fields.items():
        value = ours.metadata[name]
        if not isinstance(value, Stored):
            assert value == field.contents(), name
        elif field.types[-1] is gguf.GGUFValueType.STRING:
            assert value.kind == "string"
            assert [item.decode() for item in ours.strings(name)] == field.contents()
        else:
            assert value.count == len(field.data)
            assert value.kind == field.types[-1].name.lower()
            if value.items is not None:
                assert list(value.items) == field.contents()
    assert [(one.name, list(one.shape), one.type, one.offset, one.size) for one in ours.tensors] == [
        (one.name, one.shape.tolist(), one.tensor_type.name, one.data_offset, one.n_bytes) for one in theirs.tensors
    ]


def test_the_types_of_tensors_are_those_of_llama_cpp() -> None:
    from llama_cpp import _ggml

    library: Any = _ggml.libggml
    library.ggml_type_name.restype = ctypes.c_char_p
    library.ggml_type_size.restype = ctypes.c_size_t
    library.ggml_blck_size.restype = ctypes.c_int64
    for kind in range(43):
        block = library.ggml_blck_size(kind)
        if block == 0:
            assert kind in REMOVED_TENSORS
            continue
        name = library.ggml_type_name(kind).decode()
        assert TENSORS[kind] == (name.upper(), block, library.ggml_type_size(kind))


def test_the_types_of_files_are_those_of_llama_cpp() -> None:
    names = {int(kind): kind.name.removeprefix("MOSTLY_").removeprefix("ALL_") for kind in gguf.LlamaFileType}
    names.pop(1024)
    assert names.items() <= FILES.items()


@pytest.mark.models
@pytest.mark.slow
def test_the_starter_model(generation_folder: Path) -> None:
    (path,) = generation_folder.glob("*.gguf")
    ours = read_header(path)
    agrees(ours, path)
    check_tokens(ours)
    assert (ours.architecture, ours.file_type, ours.version) == ("llama", "Q4_1", 3)
    assert (ours.block_count, ours.context_length, ours.embedding_length) == (30, 8192, 576)
    assert (ours.head_count, ours.head_count_kv) == ((9,) * 30, (3,) * 30)
    assert (ours.key_length, ours.value_length, ours.feed_forward_length) == (64, 64, 1536)
    assert (ours.expert_count, ours.sliding_window, ours.vocabulary_size) == (0, 0, 49152)
    assert len(ours.layer_bytes) == 30
    assert ours.weight_bytes == sum(ours.layer_bytes) + ours.input_bytes + ours.output_bytes
    assert ours.shared_output_bytes == ours.input_bytes
    assert 0 < path.stat().st_size - ours.weight_bytes < 3 << 20


def writer(path: Path, architecture: str = "llama", **options: Any) -> gguf.GGUFWriter:
    made = gguf.GGUFWriter(path, architecture, **options)
    made.add_block_count(2)
    made.add_context_length(64)
    made.add_embedding_length(32)
    made.add_head_count(4)
    return made


def finish(made: gguf.GGUFWriter) -> None:
    made.write_header_to_file()
    made.write_kv_data_to_file()
    made.write_tensors_to_file()
    made.close()


def test_every_kind_of_value(tmp_path: Path) -> None:
    path = tmp_path / "values.gguf"
    made = writer(path)
    made.add_custom_alignment(64)
    for kind, value in (("uint8", 255), ("int8", -128), ("uint16", 65535), ("int16", -1), ("uint64", 2**64 - 1)):
        getattr(made, f"add_{kind}")(f"a.{kind}", value)
    made.add_int64("a.int64", -(2**63))
    made.add_float32("a.float32", 0.5)
    made.add_float64("a.float64", 1e300)
    made.add_bool("a.yes", True)
    made.add_bool("a.no", False)
    made.add_string("a.text", "Grüße 你好")
    made.add_array("a.numbers", [1, -2, 3])
    made.add_array("a.many", list(range(5000)))
    made.add_array("a.floats", [0.5, 1.5])
    made.add_array("a.flags", [True, False])
    made.add_array("a.texts", ["", "x" * 3_000_000, "y"] * 3)
    made.add_tensor("blk.0.one.weight", np.arange(33, dtype=np.float32))
    made.add_tensor("blk.1.two.weight", np.ones((3, 5), dtype=np.float16))
    made.add_tensor("token_embd.weight", np.ones((7, 34), dtype=np.uint8), raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    finish(made)
    ours = read_header(path)
    agrees(ours, path)
    assert ours.metadata["a.yes"] is True
    assert ours.metadata["a.flags"] == Stored("bool", 2, ours.metadata["a.flags"].offset, (True, False))  # type: ignore[union-attr]
    assert (ours.layer_bytes, ours.input_bytes, ours.output_bytes) == ((33 * 4, 30), 7 * 34, 0)
    assert ours.vocabulary_size == 7
    assert ours.file_type == "Q8_0"


@pytest.mark.parametrize("kind", [kind for kind in gguf.GGML_QUANT_SIZES if kind.name != "Q8_1"])
def test_every_type_of_tensor(kind: gguf.GGMLQuantizationType, tmp_path: Path) -> None:
    path = tmp_path / "types.gguf"
    made = writer(path)
    _, size = gguf.GGML_QUANT_SIZES[kind]
    made.add_tensor("blk.0.w.weight", np.zeros((2, 3 * size), dtype=np.uint8), raw_dtype=kind)
    finish(made)
    agrees(read_header(path), path)


def test_a_number_for_each_layer(tmp_path: Path) -> None:
    path = tmp_path / "layers.gguf"
    made = writer(path, "deci")
    made.add_head_count_kv([2, 0])
    made.add_feed_forward_length([10, 30])
    made.add_key_length(16)
    made.add_value_length(8)
    made.add_sliding_window(32)
    made.add_expert_count(8)
    made.add_expert_used_count(2)
    made.add_expert_feed_forward_length(50)
    made.add_vocab_size(1000)
    finish(made)
    ours = read_header(path)
    assert (ours.head_count, ours.head_count_kv) == ((4, 4), (2, 0))
    assert (ours.key_length, ours.value_length, ours.sliding_window) == (16, 8, 32)
    assert (ours.expert_count, ours.expert_used_count, ours.feed_forward_length) == (8, 2, 100)
    assert ours.vocabulary_size == 1000


def test_values_that_are_made_of_keys_are_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "mla.gguf"
    made = writer(path, "deepseek2")
    made.add_head_count_kv(1)
    made.add_key_length(576)
    made.add_value_length(512)
    made.add_key_length_mla(192)
    finish(made)
    ours = read_header(path)
    assert (ours.key_length, ours.value_length) == (576, 0)


def test_version_2(tmp_path: Path) -> None:
    path = write_model(tmp_path / "two.gguf", *llama())
    data = path.read_bytes()
    path.write_bytes(data[:4] + struct.pack("<I", 2) + data[8:])
    assert read_header(path).version == 2


def test_a_long_text_stays_in_the_file(tmp_path: Path) -> None:
    metadata, tensors = llama()
    path = write_model(tmp_path / "long.gguf", metadata | {"general.readme": "ü" * 3_000_000}, tensors)
    stored = read_header(path).metadata["general.readme"]
    assert isinstance(stored, Stored)
    assert (stored.kind, stored.count) == ("text", 6_000_000)
    assert read_text(path, stored) == "ü" * 3_000_000


def parts(folder: Path) -> list[Path]:
    made = writer(folder / "model.gguf", split_max_tensors=2)
    for number in range(5):
        made.add_tensor(f"blk.{number % 2}.w{number}.weight", np.ones(32, dtype=np.float32))
    finish(made)
    return sorted(folder.glob("model-*.gguf"))


def test_a_model_in_parts(tmp_path: Path) -> None:
    files = parts(tmp_path)
    assert [file.name for file in files] == [f"model-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    ours = read_header(files[0])
    assert ours.files == tuple(files)
    assert [tensor.name for tensor in ours.tensors] == [f"blk.{number % 2}.w{number}.weight" for number in range(5)]
    assert ours.layer_bytes == (3 * 128, 2 * 128)


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    files = parts(tmp_path)
    files[1].unlink()
    assert refused(files[0]) == "it has 3 parts, and `model-00002-of-00003.gguf` is not beside it."


def test_parts_that_are_not_of_one_model(tmp_path: Path) -> None:
    files = parts(tmp_path)
    assert refused(files[1]) == "it is not the first of its 3 parts, which is `model-00001-of-00003.gguf`."
    whole = files[1].read_bytes()
    files[1].write_bytes(files[2].read_bytes())
    with pytest.raises(EngineError, match="it is not part 2 of 3 that its name says"):
        read_header(files[0])
    files[1].write_bytes(whole.replace(b"blk.0.w2", b"blk.0.w0"))
    with pytest.raises(EngineError, match=r"`blk\.0\.w0\.weight` is in another part, too"):
        read_header(files[0])
    files[1].write_bytes(whole[:-1])
    with pytest.raises(EngineError, match="it is cut short"):
        read_header(files[0])
    files[1].write_bytes(whole)
    alone = files[0].rename(tmp_path / "renamed.gguf")
    assert refused(alone) == "it is one of 3 parts, but its name does not end in `-00001-of-00003.gguf`."


def test_numbers_that_llama_cpp_ends_the_process_over(tmp_path: Path) -> None:
    metadata, tensors = llama()

    def said(**changed: Any) -> str:
        changes = {key.replace("__", "."): value for key, value in changed.items()}
        kept = {key: value for key, value in (metadata | changes).items() if value is not None}
        return refused(write_model(tmp_path / "model.gguf", kept, tensors))

    assert said(llama__block_count=513) == "its `llama.block_count` is 513, not 1 to 512."
    assert said(llama__block_count=0) == "its `llama.block_count` is 0, not 1 to 512."
    assert said(llama__block_count=Raw(5, struct.pack("<i", -1))) == "its `llama.block_count` is -1, not 1 to 512."
    assert said(llama__block_count="many") == "its `llama.block_count` is 'many', not 1 to 512."
    assert said(llama__block_count=True) == "its `llama.block_count` is True, not 1 to 512."
    assert said(llama__block_count=[2, 2]) == "its `llama.block_count` is no number, not 1 to 512."
    assert "its `llama.block_count`: no language model has none" in said(llama__block_count=None)
    assert "does not say its `llama.context_length`" in said(llama__context_length=None)
    assert "does not say its `general.architecture`" in said(general__architecture=None)
    assert "`general.architecture` is" in said(general__architecture="a\x00b")
    assert said(llama__attention__head_count_kv=3) == "layer 0 has 4 heads for 3 heads of keys and values."
    assert said(llama__attention__head_count=[4]) == "`llama.attention.head_count` has 1 elements for 2 layers."
    assert said(llama__expert_count=2000) == "its `llama.expert_count` is 2000, not 0 to 1024."
    assert said(llama__expert_count=8) == "it takes 0 of 8 experts for each token."
    assert said(llama__expert_used_count=8) == "it takes 8 of 0 experts for each token."
    assert said(llama__rope__scaling__type="odd") == "its `llama.rope.scaling.type` is 'odd'."
    epsilon = "llama__attention__layer_norm_rms_epsilon"
    assert said(**{epsilon: -0.5}) == "its `llama.attention.layer_norm_rms_epsilon` is -0.5, not 0 to 1."
    assert said(**{epsilon: float("nan")}) == "its `llama.attention.layer_norm_rms_epsilon` is nan, not 0 to 1."
    assert said(llama__nextn_predict_layers=3) == "its `llama.nextn_predict_layers` is 3, not 0 to 2."
    assert said(tokenizer__ggml__tokens=[1, 2]) == "its `tokenizer.ggml.tokens` is no array of texts."
    assert "`split.count` is missing or of another type" in said(split__count=3)
    assert "`split.no` is missing or of another type" in refused(
        write_model(tmp_path / "m-00001-of-00003.gguf", metadata | {"split.count": U16(3), "split.no": 0}, tensors)
    )


def test_tokens_that_are_spelled_the_same(tmp_path: Path) -> None:
    metadata, tensors = llama(vocabulary=4)
    tokens = ["a", "", "", "b"]  # llama.cpp names the empty ones by their number
    path = write_model(tmp_path / "model.gguf", metadata | {"tokenizer.ggml.tokens": tokens}, tensors)
    check_tokens(read_header(path))
    write_model(path, metadata | {"tokenizer.ggml.tokens": ["a", "b", "c", "a"]}, tensors)
    with pytest.raises(EngineError, match="token 3 is spelled as one before it: b'a'"):
        check_tokens(read_header(path))


def test_an_adapter_is_read_as_a_file(tmp_path: Path) -> None:
    data, weights = model({"general.type": "adapter"}, {"blk.0.w.lora_a": ((8, 4), "F32")})
    (tmp_path / "lora.gguf").write_bytes(data + bytes(weights))
    read = read_file(tmp_path / "lora.gguf")
    assert read.metadata == {"general.type": "adapter"}
    assert [tensor.name for tensor in read.tensors] == ["blk.0.w.lora_a"]


def test_a_file_that_grew_shorter(tmp_path: Path) -> None:
    path = write_model(tmp_path / "model.gguf", *llama())
    ours = read_header(path)
    path.write_bytes(header({"a": Raw(8, text("b"))}))
    with pytest.raises(EngineError, match="it is cut short or damaged"):
        ours.strings("tokenizer.ggml.tokens")
