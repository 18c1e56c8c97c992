"""Rebuild what the server and a text generation model's process say to each other in frames.

Each frame of the model's process holds all events that one step brought.
"""

from __future__ import annotations

from typing import Any

from edgecli.ai.engines.generation import (
    Constraint,
    Cut,
    EngineFacts,
    GenerationRequest,
    LoraAdapter,
    Piece,
    TokenLogprob,
    Tool,
    ToolCallPart,
    Usage,
)


def request_from(body: dict[str, Any]) -> GenerationRequest:
    """Rebuild the request that was framed."""
    known = dict(body)
    known["stop"] = tuple(body["stop"])
    known["logit_bias"] = {int(token): bias for token, bias in body["logit_bias"].items()}
    known["tools"] = tuple(Tool(**tool) for tool in body["tools"])
    known["constraint"] = Constraint(**body["constraint"]) if body["constraint"] else None
    known["lora"] = LoraAdapter(**body["lora"]) if body["lora"] else None
    return GenerationRequest(**known)


def piece_from(body: dict[str, Any]) -> Piece:
    """Rebuild the piece that was framed."""
    return Piece(
        text=body["text"],
        tool_calls=tuple(ToolCallPart(**part) for part in body["tool_calls"]),
        logprobs=tuple(_logprob_from(each) for each in body["logprobs"]),
        reasoning=body["reasoning"],
        cut=Cut(**body["cut"]) if body["cut"] else None,
        warning=body["warning"],
        finish_reason=body["finish_reason"],
        stop_sequence=body["stop_sequence"],
        usage=Usage(**body["usage"]) if body["usage"] else None,
    )


def _logprob_from(body: dict[str, Any]) -> TokenLogprob:
    top = tuple((bytes(token), value) for token, value in body["top"])
    return TokenLogprob(bytes(body["token"]), body["logprob"], top)


def facts_from(body: dict[str, Any]) -> EngineFacts:
    """Rebuild the facts that were framed."""
    known: dict[str, Any] = dict(body)
    known["gpu_layers"] = tuple(body["gpu_layers"])
    known["notes"] = tuple(body["notes"])
    return EngineFacts(**known)
