"""LoRA adapters by name: which of them a model has."""

from __future__ import annotations

from pathlib import Path

from edgecli.ai.catalog_items import name_of, stable_id
from edgecli.ai.engines.generation import LoraAdapter
from edgecli.errors import NotFoundError, UsageError, did_you_mean
from edgecli.models.schema import LoraFile, ModelSpec


def lora_id(spec: ModelSpec, lora: LoraFile) -> str:
    """Return the id of an adapter, which stands for its name on the wire as well."""
    return stable_id(f"lora:{name_of(spec)}:{lora.name}")


def find_lora(spec: ModelSpec, wanted: str) -> LoraAdapter:
    """Return the adapter of this name or id.

    Raises UsageError, cf_code 5005, if the model takes none; NotFoundError, cf_code 3039, if there is no such one
    or its file is missing.
    """
    if not spec.loras and "lora" not in spec.capabilities:
        raise UsageError(
            f"AiError: The model `{spec.display_name}` does not support LoRA inference",
            hint=f'Name its adapters in [edgecli.models."{spec.id}".loras].',
            code="no_loras",
            cf_code=5005,
            status=405,
        )
    for lora in spec.loras:
        if wanted in {lora.name, lora_id(spec, lora)}:
            if not Path(lora.path).is_file():
                raise _missing(f"AiError: The file `{lora.path}` of the LoRA adapter `{wanted}` is missing")
            return LoraAdapter(lora.path, lora.scale)
    near = did_you_mean(wanted, [lora.name for lora in spec.loras])
    raise _missing(
        f"AiError: No such LoRA adapter `{wanted}` of {spec.display_name}",
        near or f'Name it in [edgecli.models."{spec.id}".loras].',
    )


def _missing(message: str, hint: str | None = None) -> NotFoundError:
    return NotFoundError(message, hint=hint, code="lora_not_found", cf_code=3039, status=400)
