"""Where a model will run, before it is loaded; and the same of the one that has loaded."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgecli.ai import choice
from edgecli.config.settings import Settings


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with a GPU that torch can use, and a llama.cpp built for it."""
    monkeypatch.setattr(choice, "cuda_device_name", lambda: "NVIDIA H100")
    monkeypatch.setattr(choice, "torch_can_use_cuda", lambda: True)
    monkeypatch.setattr(choice, "llama_cpp_backends", lambda: frozenset({"cuda"}))


def _device(engine: str, settings: Settings) -> str | None:
    return choice.expected_device(engine, settings)


@pytest.mark.usefixtures("gpu")
def test_with_a_gpu() -> None:
    settings = Settings()
    assert _device("llama_cpp", settings) == _device("embedding", settings) == "cuda:0 NVIDIA H100"
    assert _device("llama_cpp", replace(settings, generation=replace(settings.generation, gpu_layers=0))) == "cpu"
    assert _device("embedding", replace(settings, embeddings=replace(settings.embeddings, engine="onnx"))) == "cpu"
    assert _device("embedding", replace(settings, embeddings=replace(settings.embeddings, device="cuda:1"))) == "cuda:1"
    assert _device("whisper", settings) is None


@pytest.mark.usefixtures("gpu")
def test_what_was_built_for_the_cpu_stays_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "torch_can_use_cuda", lambda: False)
    monkeypatch.setattr(choice, "llama_cpp_backends", frozenset[str])
    assert _device("llama_cpp", Settings()) == _device("embedding", Settings()) == "cpu"
