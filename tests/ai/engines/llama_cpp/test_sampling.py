"""The sampler's arguments, against the library that is installed."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace

import pytest

from edgecli.ai.engines.llama_cpp.gguf_model import library
from edgecli.ai.engines.llama_cpp.sampling import check_samplers
from edgecli.errors import EngineError


def test_the_installed_library_is_one_that_is_known() -> None:
    check_samplers(library())


def test_a_library_whose_arguments_differ_is_refused() -> None:
    older = SimpleNamespace(argtypes=[ctypes.c_int32] * 9)
    with pytest.raises(EngineError, match="takes 9 arguments, not 5") as caught:
        check_samplers(SimpleNamespace(llama_sampler_init_penalties=older, __version__="0.3.5"))
    assert "llama-cpp-python>=0.3.36" in (caught.value.hint or "")
