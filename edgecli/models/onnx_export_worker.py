"""The process that `onnx_export` starts: `python -m edgecli.models.onnx_export_worker FOLDER TARGET`."""

from __future__ import annotations

import inspect
import logging
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

from edgecli.models.sentence_files import read_sentence_files

OPSET = 17
SMALLEST_COSINE = 0.9999
_CHECKED_TEXTS = [
    ["Refunds take five days."],
    ["退款需要五个工作日。", "def f(x):\n    return x + 1", " . ", "🙂 ok"],
    ["The quick brown fox jumps over the lazy dog. " * 40, "short"],
]


def main(folder: Path, target: Path) -> None:
    """Export, optimise and check the model below `folder`; the last line of stderr says what went wrong."""
    import torch
    import transformers

    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    files = read_sentence_files(folder)
    model: Any = transformers.AutoModel.from_pretrained(
        files.folder, local_files_only=True, attn_implementation="eager", dtype=torch.float32
    ).eval()
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(files.folder, local_files_only=True)
    accepted = inspect.signature(model.forward).parameters
    names = [name for name in ("input_ids", "attention_mask", "token_type_ids") if name in accepted]
    network = _last_hidden_state(model, names)
    with tempfile.TemporaryDirectory(dir=target.parent) as plain_folder:
        plain = Path(plain_folder) / "plain.onnx"
        _export(network, names, plain)
        _optimise(plain, target)
    _check(target, network, tokenizer, names, files.max_sequence)
    if not (files.folder / "tokenizer.json").exists():
        tokenizer.backend_tokenizer.save(str(target.parent / "tokenizer.json"))


def _last_hidden_state(model: Any, names: list[str]) -> Any:
    import torch

    class LastHiddenState(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *tensors: Any) -> Any:
            return self.model(**dict(zip(names, tensors, strict=True))).last_hidden_state

    return LastHiddenState().eval()


def _export(network: Any, names: list[str], plain: Path) -> None:
    """Try the tracing exporter, which takes a few seconds, then the one that newer networks need."""
    import torch

    mask = torch.ones(2, 16, dtype=torch.long)
    mask[1, 10:] = 0  # a mask of ones only could be folded into a constant
    values = {"input_ids": torch.randint(5, 100, (2, 16)), "attention_mask": mask, "token_type_ids": mask * 0}
    example = tuple(values[name] for name in names)
    axes = {name: {0: "batch", 1: "sequence"} for name in [*names, "last_hidden_state"]}
    with torch.inference_mode():
        try:
            torch.onnx.export(
                network,
                example,
                str(plain),
                dynamo=False,
                input_names=names,
                output_names=["last_hidden_state"],
                dynamic_axes=axes,
                opset_version=OPSET,
            )
        except Exception as error:
            print(f"tracing failed ({error}); trying torch.export", file=sys.stderr)  # noqa: T201
            dynamic = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
            torch.onnx.export(
                network,
                example,
                str(plain),
                dynamo=True,
                input_names=names,
                output_names=["last_hidden_state"],
                dynamic_shapes=((dynamic,) * len(names),),
            )


def _optimise(plain: Path, target: Path) -> None:
    """Save the graph as ONNX Runtime rewrites it for any CPU, with the weights in a file to map."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Above this level the rewriting is for this machine's CPU only.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(target)
    prefix = "session.optimized_model_external_initializers_"
    options.add_session_config_entry(prefix + "file_name", target.name + ".data")
    options.add_session_config_entry(prefix + "min_size_in_bytes", "1024")
    onnxruntime.InferenceSession(str(plain), options, providers=["CPUExecutionProvider"])


def _check(target: Path, network: Any, tokenizer: Any, names: list[str], longest: int) -> None:
    """Compare with torch, on batches of other shapes than the example's."""
    import numpy as np
    import onnxruntime
    import torch

    session = onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    for texts in _CHECKED_TEXTS:
        tokens = tokenizer(texts, padding=True, truncation=True, max_length=longest, return_tensors="pt")
        mask = tokens["attention_mask"]
        tokens.setdefault("token_type_ids", mask * 0)
        with torch.inference_mode():
            wanted = network(*(tokens[name] for name in names)).numpy()
        inputs = {node.name for node in session.get_inputs()}
        got: Any = session.run(None, {name: tokens[name].numpy() for name in names if name in inputs})[0]
        kept = mask.numpy().astype(bool)
        a, b = wanted[kept], got[kept]
        cosine = float(((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min())
        if not cosine > SMALLEST_COSINE:
            raise SystemExit(f"the ONNX graph differs from torch: cosine {cosine:.6f} on {texts[0][:40]!r}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
