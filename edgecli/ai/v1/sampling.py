"""What the APIs share: how an answer is drawn, and what form it must have."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from edgecli.ai.engines.generation import Constraint
from edgecli.ai.tasks.validation import TaskInput, bad_input, listed

MAX_ANSWERS = 128
"""Of one request, as on OpenAI's API."""
MAX_STOPS = 64

Stops = Annotated[list[Annotated[str, Field(min_length=1)]], BeforeValidator(listed), Field(max_length=MAX_STOPS)]
Bias = dict[Annotated[str, Field(pattern=r"^[0-9]{1,9}$")], Annotated[float, Field(ge=-100, le=100)]]
"""By token id of the model that runs: a client's own tokenizer will not know them."""


class Sampling(TaskInput):
    """How an answer is drawn. Beside OpenAI's fields stand those that Workers AI takes."""

    model: Annotated[str, Field(min_length=1)]
    stream: bool = False
    temperature: float | None = Field(default=None, ge=0, le=5)
    """None is the setting `edgecli.generation.temperature`."""
    top_p: float | None = Field(default=None, ge=0, le=1)
    top_k: int | None = Field(default=None, ge=1)
    min_p: float | None = Field(default=None, ge=0, le=1)


class StreamOptions(TaskInput):
    """How a stream is written."""

    include_usage: bool = False


class OpenAiSampling(Sampling):
    """What `chat/completions` and `completions` have in common."""

    n: int = Field(default=1, ge=1, le=MAX_ANSWERS)
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    stop: Stops = Field(default_factory=list[str])
    frequency_penalty: float = Field(default=0.0, ge=-2, le=2)
    presence_penalty: float = Field(default=0.0, ge=-2, le=2)
    repetition_penalty: float | None = Field(default=None, gt=0, le=2)
    logit_bias: Bias = Field(default_factory=dict[str, float])
    max_tokens: int | None = Field(default=None, ge=1)
    """None is the setting `edgecli.generation.max_tokens`."""
    truncate: Literal["head", "middle"] | None = None
    stream_options: StreamOptions | None = None

    @property
    def include_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage

    def fields(self) -> dict[str, Any]:
        """Return the fields of a GenerationRequest that have the same meaning there."""
        return {
            "top_p": self.top_p,
            "top_k": self.top_k,
            "min_p": self.min_p,
            "frequency_penalty": self.frequency_penalty,
            "presence_penalty": self.presence_penalty,
            "repetition_penalty": self.repetition_penalty,
            "logit_bias": {int(token): bias for token, bias in self.logit_bias.items()},
            "stop": tuple(self.stop),
            "truncate": self.truncate,
        }

    def seeds(self) -> list[int | None]:
        """Return a seed for each of the `n` answers: the same ones again for the same `seed`."""
        if self.seed is None:
            return [None] * self.n
        # Engines take 32 bits, of which the last value stands for "any seed".
        return [(self.seed + index) % (2**32 - 1) for index in range(self.n)]


def read_format(form: Any, place: str) -> Constraint | None:
    """Return what a `response_format` or `text.format` demands of the answer; None is free text.

    A JSON Schema comes bare, in OpenAI's wrapper `{"name", "schema", "strict"}`, or beside the type. Raises
    UsageError, cf_code 5006.
    """
    if form is None:
        return None
    kind = form.get("type") if isinstance(form, dict) else None
    if kind == "text":
        return None
    if kind == "json_object":
        return Constraint("json")
    if kind == "json_schema":
        return Constraint("json_schema", _schema(form, place))
    raise bad_input(f"'{place}/type' is {kind!r}: unknown", hint='It takes "text", "json_object" and "json_schema".')


def _schema(form: Any, place: str) -> dict[str, Any]:
    given = form.get("json_schema", form.get("schema"))
    # `schema` is no keyword of JSON Schema: an object that has it is a wrapper.
    if isinstance(given, dict) and isinstance(given.get("schema"), dict):
        given = given["schema"]
    if not isinstance(given, dict):
        raise bad_input(f"'{place}' has no JSON Schema", hint="Send it as an object, `json_schema.schema`.")
    return given
