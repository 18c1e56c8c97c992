"""Read what the files of a sentence-transformers model say about pooling, length and normalisation.

Format: https://sbert.net/docs/sentence_transformer/usage/custom_models.html (modules.json lists the modules,
each with a folder that holds its config.json).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecli.errors import EngineError

POOLINGS = ("mean", "cls", "lasttoken", "max")
_KNOWN_MODULES = {"Transformer", "Pooling", "Normalize"}
_LENGTH_FALLBACK = 512


@dataclass(frozen=True, slots=True)
class SentenceFiles:
    """An embedding model's folder, understood."""

    folder: Path
    """Holds config.json, the weights and the tokenizer."""
    dimensions: int
    max_sequence: int
    """Tokens of one text with its special tokens."""
    pad_id: int
    """Some networks (RoBERTa's) number positions by what is not this token."""
    pooling: str | None
    """What 1_Pooling says, or None where the model has no such file."""
    normalise: bool
    lowercase: bool
    other_modules: tuple[str, ...]
    """Modules beyond transformer, pooling and normalisation, which only sentence-transformers can run."""


def read_sentence_files(path: Path) -> SentenceFiles:
    """Find the model below `path` and read its files.

    Raises EngineError if there is no `config.json` or a file is damaged.
    """
    folder = _model_folder(path)
    config = _read(folder / "config.json")
    modules = _read(folder / "modules.json", missing=[])
    sentence = _read(folder / "sentence_bert_config.json", missing={})
    kinds = [str(module.get("type", "")).rsplit(".", 1)[-1] for module in modules]
    pooling_config = next(
        (
            _read(folder / str(m["path"]) / "config.json")
            for m, kind in zip(modules, kinds, strict=True)
            if kind == "Pooling"
        ),
        None,
    )
    return SentenceFiles(
        folder=folder,
        dimensions=int(config.get("hidden_size") or config.get("dim") or config.get("d_model") or 0),
        max_sequence=_max_sequence(folder, config, sentence),
        pad_id=int(config.get("pad_token_id") or 0),
        pooling=_pooling(folder, pooling_config) if pooling_config is not None else None,
        normalise="Normalize" in kinds,
        lowercase=bool(sentence.get("do_lower_case", False)),
        other_modules=tuple(kind for kind in kinds if kind not in _KNOWN_MODULES),
    )


def find_onnx(path: Path) -> Path | None:
    """Return the ONNX graph of the model below `path`: `model.onnx`, nearest to the top, or None."""
    found = sorted(path.rglob("model.onnx"), key=lambda file: (len(file.parts), str(file)))
    return found[0] if found else None


def _model_folder(path: Path) -> Path:
    """Return the topmost folder with a config.json that describes a network (a pooling's config does not)."""
    for config in sorted(path.rglob("config.json"), key=lambda file: (len(file.parts), str(file))):
        if (config.parent / "tokenizer.json").exists() or "model_type" in _read(config):
            return config.parent
    raise EngineError(
        f"`{path}` holds no embedding model: there is no `config.json` beside a tokenizer.",
        hint="Pull the model again: `edgecli models pull <id>`; `edgecli models verify` checks its files.",
        code="model_files_missing",
    )


def _read(file: Path, *, missing: Any = None) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if missing is not None:
            return missing
        raise EngineError(
            f"The model's file `{file}` is missing.",
            hint="`edgecli models verify` looks for what is missing; `edgecli models pull` brings it.",
            code="model_files_missing",
        ) from None
    except (OSError, ValueError) as error:
        raise EngineError(
            f"The model's file `{file}` cannot be read: {error}.",
            hint="`edgecli models verify` checks the model's files.",
            code="model_files_damaged",
        ) from error


def _max_sequence(folder: Path, config: dict[str, Any], sentence: dict[str, Any]) -> int:
    tokenizer = _read(folder / "tokenizer_config.json", missing={})
    # Tokenizers without a limit carry a huge number in its place.
    limits = [
        int(value)
        for value in (tokenizer.get("model_max_length"), config.get("max_position_embeddings"))
        if isinstance(value, int | float) and 0 < value < 1_000_000
    ]
    stated = sentence.get("max_seq_length")
    if isinstance(stated, int) and stated > 0:
        return stated
    return min(limits, default=_LENGTH_FALLBACK)


def _pooling(folder: Path, config: dict[str, Any]) -> str:
    """Read both forms of the file: `pooling_mode` (since 5.x) and one flag a mode (before)."""
    stated = config.get("pooling_mode")
    modes = [stated] if isinstance(stated, str) else [name for name in POOLINGS if config.get(_flag(name))]
    flags = [key for key, value in config.items() if key.startswith("pooling_mode_") and value is True]
    if len(modes) == 1 and modes[0] in POOLINGS and len(flags) <= 1:
        return modes[0]
    raise EngineError(
        f"The model in `{folder}` pools in a way that edgecli does not know: {stated or flags}.",
        hint=f"Known are {', '.join(POOLINGS)}.",
        code="pooling_unknown",
    )


def _flag(name: str) -> str:
    return {
        "mean": "pooling_mode_mean_tokens",
        "cls": "pooling_mode_cls_token",
        "lasttoken": "pooling_mode_lasttoken",
        "max": "pooling_mode_max_tokens",
    }[name]
