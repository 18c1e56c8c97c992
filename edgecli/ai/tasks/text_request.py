"""Text generation: from checked inputs to what an engine is asked for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from edgecli.ai.engines.generation import Constraint, GenerationRequest, LoraAdapter
from edgecli.ai.loras import find_lora
from edgecli.ai.tasks.answer_form import read_format
from edgecli.ai.tasks.messages import read_messages
from edgecli.ai.tasks.tools import read_choice
from edgecli.config.settings import GenerationSettings
from edgecli.models.schema import WIRE_FORMS

if TYPE_CHECKING:
    from edgecli.ai.tasks.text_generation import TextGenerationInput
    from edgecli.config.settings import Settings
    from edgecli.models.schema import ModelSpec

SEEDS = 2**32 - 1
"""Engines take 32 bits, of which the last value stands for "any seed"."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """What stands in where the inputs are silent."""

    max_tokens: int
    temperature: float
    capabilities: Collection[str] = field(default_factory=tuple[str, ...])
    """Of the model that was asked for."""
    lora: Callable[[str], LoraAdapter] | None = None
    """Find an adapter by name or id; raises EdgeError for an unknown one."""


def defaults_of(spec: ModelSpec, settings: Settings, *, native: bool = False) -> Defaults:
    """Return what holds for a model where its inputs are silent.

    A setting that is not the shipped one comes first, then what the model's schema has. With `native` the model is
    spoken to in Workers AI's own form.
    """
    wanted, shipped = settings.generation, GenerationSettings()
    own = spec.defaults
    return Defaults(
        max_tokens=int(own.get("max_tokens", shipped.max_tokens))
        if wanted.max_tokens == shipped.max_tokens
        else wanted.max_tokens,
        temperature=own.get("temperature", shipped.temperature)
        if wanted.temperature == shipped.temperature
        else wanted.temperature,
        capabilities=[each for each in spec.capabilities if not (native and each in WIRE_FORMS)],
        lora=partial(find_lora, spec),
    )


def to_requests(checked: TextGenerationInput, defaults: Defaults) -> list[GenerationRequest]:
    """Return one request for each answer that is wanted; with a seed, each answer has its own.

    Raises UsageError, cf_code 5006, for a conversation, tools or a form that do not make sense.
    """
    request = to_request(checked, defaults)
    if request.seed is None:
        return [request] * checked.choices
    return [replace(request, seed=(request.seed + index) % SEEDS) for index in range(checked.choices)]


def to_request(checked: TextGenerationInput, defaults: Defaults) -> GenerationRequest:
    """Return what the engine is to do. Raises UsageError as `to_requests` does."""
    tools = tuple(tool.function.to_tool() for tool in checked.tools)
    newer: int | None = getattr(checked, "max_completion_tokens", None)
    return GenerationRequest(
        messages=_messages(checked, defaults.capabilities),
        raw_prompt=checked.prompt if checked.raw else None,
        max_tokens=newer or checked.max_tokens or defaults.max_tokens,
        temperature=defaults.temperature if checked.temperature is None else checked.temperature,
        top_p=None if checked.top_p is None or checked.top_p >= 1 else checked.top_p,
        top_k=checked.top_k,
        min_p=checked.min_p,
        seed=None if checked.seed is None else checked.seed % SEEDS,
        repetition_penalty=checked.repetition_penalty,
        frequency_penalty=checked.frequency_penalty,
        presence_penalty=checked.presence_penalty,
        logit_bias={int(token): bias for token, bias in checked.logit_bias.items()},
        stop=tuple(checked.stop),
        logprobs=checked.alternatives,
        constraint=_constraint(checked),
        tools=tools,
        tool_choice=read_choice(checked.tool_choice, tools),
        parallel_tool_calls=checked.several_calls,
        split_reasoning=checked.split_reasoning or "chat_completions" in defaults.capabilities,
        lora=_lora(checked.lora, defaults),
        truncate=checked.truncate,
    )


def _messages(checked: TextGenerationInput, capabilities: Collection[str]) -> list[dict[str, Any]] | None:
    if checked.raw:
        return None
    if checked.messages is None:
        return [{"role": "user", "content": checked.prompt}]
    parts = bool({"chat_completions", "content_parts", "vision"} & set(capabilities))
    return read_messages(checked.messages, parts=parts)


def _constraint(checked: TextGenerationInput) -> Constraint | None:
    if checked.guided_json is not None:
        return Constraint("json_schema", checked.guided_json)
    if checked.response_format is None:
        return None
    given: Mapping[str, Any] = checked.response_format.model_dump(exclude_none=True)
    return read_format(given, "/response_format")


def _lora(name: str | None, defaults: Defaults) -> LoraAdapter | None:
    if name is None or defaults.lora is None:
        return None
    return defaults.lora(name)
