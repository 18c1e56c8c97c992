"""Files that would harm whoever trusts them."""

from __future__ import annotations

import os
import struct
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgecli.ai.engines.llama_cpp.gguf_header import read_header
from edgecli.ai.engines.llama_cpp.gguf_model import GgufModel
from edgecli.errors import EngineError
from tests.ai.engines.llama_cpp.gguf_bytes import Raw, header, llama, model, tensor, text

BASE = {"general.architecture": "llama"}
PEAK = 8 << 20
"""Bytes that reading a small file may take at most; the reader reads 1 MiB at a time."""


def said(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(EngineError) as caught:
            read_header(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert caught.value.code == "model_load_failed"
    assert peak < PEAK
    return caught.value.message.removeprefix(f"The model file `{path}` cannot be loaded: ")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.gguf"


def array(kind: int, count: int, data: bytes = b"") -> Raw:
    return Raw(9, struct.pack("<IQ", kind, count) + data)


def test_what_is_no_gguf_file(path: Path) -> None:
    assert said(path, b"") == "it is empty."
    assert said(path, b"Hello, I am a model.\n") == "it begins with b'Hell', a GGUF file with b'GGUF'."
    assert said(path, b"GG") == "it begins with b'GG', a GGUF file with b'GGUF'."
    assert said(path, b"GGUF") == "the version ends at byte 8, and the file has 4 bytes: it is cut short or damaged."
    assert said(path, b"GGUF" + struct.pack(">I", 3)) == "it is big-endian, for another kind of processor."
    assert "GGUF version 1, which llama.cpp no longer reads" in said(path, header({}, version=1))
    assert said(path, header({}, version=4)) == "it is of GGUF version 4; 2 and 3 are known."
    assert said(path, header({}, version=0)) == "it is of GGUF version 0; 2 and 3 are known."


@pytest.mark.parametrize("name", ["folder", "absent.gguf", "pipe", "zero\0.gguf", "x" * 500])
def test_what_is_no_file(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
    with pytest.raises(EngineError) as caught:
        read_header(tmp_path / name)
    assert caught.value.code == "model_load_failed"


def test_absurd_counts(path: Path) -> None:
    assert "it says that it holds 9223372036854775807 tensors" in said(path, header(BASE, tensor_count=2**63 - 1))
    assert "it says that it holds 18446744073709551615 keys" in said(path, header(BASE, key_count=2**64 - 1))
    assert "key 2 of 60000 has 0 bytes" in said(path, header(BASE, key_count=60_000) + bytes(100))
    assert "cut short" in said(path, header(BASE, key_count=2)[:-24])
    huge = header(BASE | {"a": array(4, 2**61)})
    assert "the array `a` has 2305843009213693952 elements" in said(path, huge)
    assert "cut short" in said(path, header(BASE | {"a": array(4, 2**30)}))
    assert "cut short" in said(path, header(BASE | {"a": array(8, 2**23)}))
    assert "its arrays hold more than 8388608 texts" in said(path, header(BASE | {"a": array(8, 2**23 + 1)}))
    long = Raw(8, struct.pack("<Q", 2**63))
    assert "a text of 9223372036854775808 bytes" in said(path, header(BASE | {"a": long}))
    assert "cut short" in said(path, header(BASE | {"a": Raw(8, struct.pack("<Q", 2**29))}))
    inner = array(8, 2, text("x") + struct.pack("<Q", 2**64 - 1))
    assert "cut short" in said(path, header(BASE | {"a": inner}))


def test_many_large_values_are_not_all_held(path: Path) -> None:
    numbers = array(11, 1000, bytes(8000))
    data = header(
        BASE | {f"key{number}": numbers for number in range(1000)} | {"t": "x" * 3_000_000, "u": "y" * 3_000_000}
    )
    assert "block_count" in said(path, data)
    keys = b"".join(text(f"{number:05}" + "k" * 60_000) + struct.pack("<IB", 0, 0) for number in range(100))
    assert said(path, b"GGUF" + struct.pack("<IQQ", 3, 0, 100) + keys) == "its keys are longer than 4 MiB together."


def test_keys_and_values(path: Path) -> None:
    twice = b"GGUF" + struct.pack("<IQQ", 3, 0, 2) + (text("a") + struct.pack("<IB", 0, 1)) * 2
    assert said(path, twice) == "the key `a` is there twice."
    assert said(path, header({"a": Raw(13, b"")})) == "the value of `a` is of the unknown type 13."
    assert said(path, header({"a": array(77, 1)})) == "the array `a` has elements of the unknown type 77."
    assert said(path, header({"a": array(9, 1)})) == "the array `a` has arrays in it, which llama.cpp does not read."
    assert "is 2, where only 0 and 1 are true or false" in said(path, header({"a": Raw(7, b"\2")}))
    assert "key 1 of 1 is no text" in said(path, header({b"\xff": 1}))  # type: ignore[dict-item]
    assert "characters that no name has" in said(path, header({"general.alignment\0": 64}))
    assert said(path, header({"general.alignment": 48})) == "`general.alignment` is 48, which is no power of two."
    assert said(path, header({"general.alignment": 0})) == "`general.alignment` is 0, which is no power of two."
    assert "is of the type string, not uint32" in said(path, header({"general.alignment": "32"}))
    assert "is of the type array, not uint32" in said(path, header({"general.alignment": [32]}))


def test_tensors(path: Path) -> None:
    def of(*tensors: bytes, data: int = 0) -> str:
        return said(path, header(BASE, tensors) + bytes(data))

    one = tensor("a", (32,), 0, 0)
    start = len(header(BASE, [one]))
    cut = f"its tensors end at byte {start + 128}, and it has {start + 127} bytes: it is cut short."
    assert of(one, data=127) == cut
    assert "does not say" not in of(one, data=127)
    assert "block_count" in of(one, data=128)
    assert "it is cut short" in of(tensor("a", (32,), 0, 2**63))
    assert "it is cut short" in of(tensor("a", (2**61,), 0, 0))
    assert of(tensor("a", (2**32, 2**32), 0, 0)) == (
        "the tensor `a` has the shape (4294967296, 4294967296): 18446744073709551616 elements."
    )
    assert "has the shape (4, 0): 0 elements" in of(tensor("a", (4, 0), 0, 0))
    assert "has the shape" in of(tensor("a", (2**64 - 1, 1), 0, 0))
    assert of(tensor("a", (1,) * 5, 0, 0)) == "the tensor `a` has 5 dimensions; 4 are the most there are."
    wide = text("a") + struct.pack("<I", 2**32 - 1)
    assert "has 4294967295 dimensions" in of(wide)
    assert of(tensor("a", (33,), 2, 0)) == "the tensor `a` has rows of 33 elements, which Q4_0 holds in blocks of 32."
    assert of(tensor("a", (), 2, 0)) == "the tensor `a` has rows of 1 elements, which Q4_0 holds in blocks of 32."
    assert of(tensor("a", (32,), 99, 0)) == "the tensor `a` is of the type 99 (unknown)."
    assert of(tensor("a", (32,), 31, 0)) == (
        "the tensor `a` is of the type 31 (Q4_0_4_4, which llama.cpp no longer reads)."
    )
    assert of(tensor("a", (32,), 0, 4)) == "the tensor `a` begins at 4, which is no multiple of the alignment 32."
    assert of(one, one, data=256) == "the tensor `a` is there twice."
    assert of(one, tensor("b", (8,), 0, 96), data=256) == "the tensors `a` and `b` lie in the same place."
    assert "the name of tensor 1 of 1 has 64 bytes; it can have 1 to 63" in of(tensor("x" * 64, (1,), 0, 0))
    assert "has 0 bytes" in of(tensor("", (1,), 0, 0))
    assert "characters that no name has" in of(tensor("a\0b", (1,), 0, 0))


SMALL, WEIGHTS = model(*llama(vocabulary=8))
WHOLE = SMALL + bytes(WEIGHTS)


@given(st.lists(st.tuples(st.integers(0, len(SMALL) - 1), st.integers(0, 255)), min_size=1, max_size=8), st.data())
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_changed_bytes(tmp_path: Path, changes: list[tuple[int, int]], data: st.DataObject) -> None:
    changed = bytearray(WHOLE)
    for place, byte in changes:
        changed[place] = byte
    if data.draw(st.booleans()):
        del changed[data.draw(st.integers(0, len(changed))) :]
    survives(tmp_path / "model.gguf", bytes(changed))


@given(st.integers(0, len(SMALL) // 4 - 2), st.sampled_from([0, 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1]))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_changed_numbers(tmp_path: Path, place: int, number: int) -> None:
    survives(tmp_path / "model.gguf", WHOLE[: place * 4] + struct.pack("<Q", number) + WHOLE[place * 4 + 8 :])


@given(st.integers(0, len(WHOLE) - 1))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_truncation_is_refused(tmp_path: Path, length: int) -> None:
    said(tmp_path / "model.gguf", WHOLE[:length])


def survives(path: Path, data: bytes) -> None:
    """Assert that reading gives a header or an EngineError, and takes little memory."""
    path.write_bytes(data)
    tracemalloc.start()
    try:
        read = read_header(path)
    except EngineError as error:
        assert error.code == "model_load_failed"
    else:
        assert read.weight_bytes <= len(data)
        assert sum(read.layer_bytes) + read.input_bytes + read.output_bytes == read.weight_bytes
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < PEAK


def test_llama_cpp_never_sees_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import llama_cpp

    def load(*_: object) -> None:
        raise AssertionError("llama.cpp was asked to load it")

    monkeypatch.setattr(llama_cpp, "llama_model_load_from_file", load)
    metadata, tensors = llama(vocabulary=4)
    twice, weights = model(metadata | {"tokenizer.ggml.tokens": ["a", "b", "b", "c"]}, tensors)
    for data in (WHOLE[:-1], header(BASE, tensor_count=2**40), twice + bytes(weights), b"no model\n"):
        path.write_bytes(data)
        with pytest.raises(EngineError) as caught:
            GgufModel(path, gpu_layers=0)
        assert caught.value.code == "model_load_failed"
    path.write_bytes(WHOLE)
    with pytest.raises(AssertionError, match=r"llama\.cpp was asked"):
        GgufModel(path, gpu_layers=0)
