"""Checks of the libraries: installed, loadable, and built for the devices of this machine."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version

from edgecli.doctor.ask import TIMEOUT_SECONDS, Answer, ask
from edgecli.doctor.check import Check, Status

SLOW_TIMEOUT_SECONDS = 120.0
BUILD_WITH_CUDA = 'CMAKE_ARGS="-DGGML_CUDA=on" pip install --force-reinstall --no-cache-dir llama-cpp-python'

_check = partial(Check, "libraries")


@dataclass(frozen=True, slots=True)
class Library:
    """A library, and what stops without it."""

    distribution: str
    module: str
    purpose: str
    essential: bool = False
    native: bool = True
    """Holds machine code, which may not run on this processor: loaded to find out."""
    slow: bool = False
    """Takes seconds to load: done only when `--deep` asks for it."""


LIBRARIES = (
    Library("llama-cpp-python", "llama_cpp", "text generation", essential=True),
    Library("onnxruntime", "onnxruntime", "embeddings", essential=True),
    Library("tokenizers", "tokenizers", "counting tokens", essential=True),
    Library("chromadb", "chromadb", "vector indexes", essential=True),
    Library("sentence-transformers", "sentence_transformers", "embeddings on a GPU", slow=True),
    Library("torch", "torch", "embeddings on a GPU", slow=True),
    Library("pypdfium2", "pypdfium2", "reading PDF"),
    Library("lxml", "lxml.html", "reading HTML"),
    Library("huggingface-hub", "huggingface_hub", "downloading models from the hub", native=False),
    Library("prompt-toolkit", "prompt_toolkit", "chat", native=False),
    Library("watchfiles", "watchfiles", "watching documents"),
)


def library(entry: Library, *, deep: bool = False) -> Check:
    """Check that a library is installed and can be loaded."""
    installed = installed_version(entry.distribution)
    if installed is None:
        return _check(
            entry.distribution,
            Status.FAIL if entry.essential else Status.WARN,
            f"not installed; needed for {entry.purpose}",
            f"pip install {entry.distribution}",
            essential=entry.essential,
            data={"version": None},
        )
    data = {"version": installed, "purpose": entry.purpose}
    if entry.slow and not deep:
        return _check(entry.distribution, Status.OK, f"{installed}, not loaded (--deep does)", data=data)
    answer = _load(entry) if entry.native else Answer()
    if answer.timed_out:
        summary = f"{installed} is installed; loading it {answer.failure}"
        return _check(
            entry.distribution,
            Status.WARN,
            summary,
            "Run `edgecli doctor` again when the machine is idle.",
            data=data,
        )
    if answer.failure:
        return _check(
            entry.distribution,
            Status.FAIL if entry.essential else Status.WARN,
            f"{installed} is installed and cannot be loaded: {answer.failure}",
            f"pip install --force-reinstall --no-cache-dir {entry.distribution}",
            essential=entry.essential,
            data=data | {"failure": answer.failure},
        )
    return _check(entry.distribution, Status.OK, installed, essential=entry.essential, data=data | answer.value)


def _load(entry: Library) -> Answer:
    if entry.module == "llama_cpp":
        return ask("llama")
    if entry.module == "torch":
        return ask("torch", timeout=SLOW_TIMEOUT_SECONDS)
    return ask("import", entry.module, timeout=SLOW_TIMEOUT_SECONDS if entry.slow else TIMEOUT_SECONDS)


def installed_version(distribution: str) -> str | None:
    """Return the version of an installed distribution without importing it, or None."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def offload(gpu: Check, llama: Check) -> Check:
    """Say whether llama-cpp-python was built for the GPU that is here, and how to build it if not."""
    built = llama.data.get("gpu_offload")
    kind = gpu.data.get("kind")
    data = {"gpu_offload": built, "gpu": kind, "build": BUILD_WITH_CUDA}
    if built is None:
        return _check("llama-cpp-python: GPU", Status.WARN, "unknown, since it cannot be loaded", data=data)
    if built:
        summary = "built with GPU support" if kind else "built with GPU support; no GPU is seen"
        return _check("llama-cpp-python: GPU", Status.OK, summary, data=data)
    if kind == "cuda":
        hint = f"With the CUDA toolkit installed: {BUILD_WITH_CUDA}"
        summary = "built without CUDA: text generation does not use the GPU"
        return _check("llama-cpp-python: GPU", Status.WARN, summary, hint, data=data)
    return _check("llama-cpp-python: GPU", Status.OK, "built for the processor only", data=data)


def torch_device(gpu: Check, torch: Check) -> Check | None:
    """Say whether torch can use the GPU that is here; None where that is no question."""
    installed = torch.data.get("version")
    if gpu.data.get("kind") != "cuda" or installed is None:
        return None
    sees = torch.data.get("cuda")
    if sees is None:
        sees = False if "+cpu" in installed else None
    if sees is None:
        summary = f"{installed} was not asked (--deep does)"
        return _check("torch: GPU", Status.OK, summary, data={"cuda": None})
    if sees:
        return _check("torch: GPU", Status.OK, "sees the GPU", data={"cuda": True})
    hint = "Install a build of torch for CUDA: pytorch.org/get-started names the command for your driver."
    summary = f"{installed} does not use the GPU: embeddings run on the processor"
    return _check("torch: GPU", Status.WARN, summary, hint, data={"cuda": False})
