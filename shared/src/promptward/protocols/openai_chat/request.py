"""An OpenAI chat completion request: document to neutral view, edits back into the document.

Invariants: every top-level field is either known and type-checked, or walked for text; every
message is read, whatever its role. Source: OpenAI API reference, "Create chat completion".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from promptward.errors import ExchangeError
from promptward.exchange import JSON, Source
from promptward.jsonstrict import dumps_canonical
from promptward.llm import LlmRequest
from promptward.protocols.base import RequestLimits
from promptward.protocols.collect import wrong_type
from promptward.protocols.edits import apply_edits
from promptward.protocols.fields import (
    FieldReader,
    model_name,
    positive,
    refuse_other_models,
)
from promptward.protocols.openai_chat.messages import read_content, read_messages
from promptward.protocols.openai_chat.tools import read_choice, read_tools

MAX_CHOICES = 128  # OpenAI API reference: `n`, maximum 128
# Each may bound the output: which one wins is the upstream's choice, not ours. llama.cpp's server
# puts `n_predict` over the others ("we overwrite the value specified earlier by max_tokens").
_CAPS = ("max_tokens", "max_completion_tokens", "n_predict")


class _Fields(FieldReader):
    """The fields only this protocol has."""

    __slots__ = ()

    def messages(self, key: str, value: JSON) -> None:
        read_messages(self.collector, f"/{key}", value, self.limits.max_messages)

    def bias(self, key: str, value: JSON) -> None:
        if value is None:
            return
        for token, weight in self.collector.object(f"/{key}", value).items():
            if not (token.isascii() and token.isdigit()):
                raise ExchangeError("invalid_value", f"/{key}: keys must be token numbers")
            if type(weight) not in (int, float):
                wrong_type(f"/{key}", "an object of numbers", weight)

    def prediction(self, key: str, value: JSON) -> None:
        if value is None:
            return
        prediction = self.collector.object(f"/{key}", value)
        for name, member in prediction.items():
            if name == "content":
                read_content(self.collector, f"/{key}/content", Source.USER, member)
            else:
                self.collector.member(f"/{key}", Source.USER, name, member, prediction)

    def stream_options(self, key: str, value: JSON) -> None:
        if value is None:
            return
        options = self.collector.object(f"/{key}", value)
        for name, member in options.items():
            if name in ("include_usage", "include_obfuscation"):
                self.boolean(f"{key}/{name}", member)
            else:
                self.collector.member(f"/{key}", Source.USER, name, member, options)

    def tool_list(self, key: str, value: JSON) -> None:
        self.tools.update(dict.fromkeys(read_tools(self.collector, f"/{key}", value)))

    def tool_choice(self, key: str, value: JSON) -> None:
        self.tools.update(dict.fromkeys(read_choice(self.collector, f"/{key}", value)))

    def web_search(self, key: str, value: JSON) -> None:
        if value is not None:
            self.tools["web_search"] = None
        self.object(key, value)

    def plugins(self, key: str, value: JSON) -> None:
        """What an aggregator does around the model (OpenRouter: `web`, `file-parser`)."""
        for pointer, plugin in self.collector.objects(f"/{key}", value):
            self.collector.walk(pointer, Source.TOOL_DEFINITION, plugin)
            name = plugin.get("id")
            if not isinstance(name, str):
                wrong_type(f"{pointer}/id", "a string", name)
            self.tools[name] = None


_FIELDS: dict[str, Callable[[_Fields, str, JSON], None]] = {
    "messages": _Fields.messages,
    "model": _Fields.model,
    "audio": _Fields.object,
    "best_of": _Fields.integer,  # vLLM: so many answers are made, the best `n` are shown
    "frequency_penalty": _Fields.number,
    "function_call": _Fields.tool_choice,
    "functions": _Fields.tool_list,
    "logit_bias": _Fields.bias,
    "logprobs": _Fields.boolean,
    "max_completion_tokens": _Fields.integer,
    "max_tokens": _Fields.integer,
    "metadata": _Fields.object,
    "modalities": _Fields.words,
    "n": _Fields.integer,
    "n_predict": _Fields.integer,
    "parallel_tool_calls": _Fields.boolean,
    "prediction": _Fields.prediction,
    "plugins": _Fields.plugins,
    "presence_penalty": _Fields.number,
    "prompt_cache_key": _Fields.text,
    "prompt_cache_retention": _Fields.word,
    "reasoning_effort": _Fields.word,
    "response_format": _Fields.schema,
    "safety_identifier": _Fields.text,
    "search_parameters": _Fields.web_search,  # xAI's name for it
    "seed": _Fields.integer,
    "service_tier": _Fields.word,
    "stop": _Fields.texts,
    "store": _Fields.boolean,
    "stream": _Fields.boolean,
    "stream_options": _Fields.stream_options,
    "temperature": _Fields.number,
    "tool_choice": _Fields.tool_choice,
    "tools": _Fields.tool_list,
    "top_logprobs": _Fields.integer,
    "top_p": _Fields.number,
    "user": _Fields.text,
    "verbosity": _Fields.word,
    "web_search_options": _Fields.web_search,
}


def read_request(
    protocol: str, document: JSON, deployment: str | None, limits: RequestLimits
) -> LlmRequest:
    """The neutral view of a request body.

    Args:
        protocol: name to put into the view.
        document: the parsed body.
        deployment: the model that the route names, or None.
        limits: see RequestLimits.
    """
    if not isinstance(document, dict):
        wrong_type("", "an object", document)
    fields = _Fields(limits)
    fields.read(document, _FIELDS)
    if "messages" not in document:
        raise ExchangeError("missing_field", "/messages: expected an array of messages")
    options = document.get("stream_options")
    return LlmRequest(
        protocol=protocol,
        model=_model(document, deployment),
        parts=tuple(fields.collector.parts),
        opaque=tuple(fields.collector.opaque),
        tools=tuple(fields.tools),
        max_output_tokens=_output_cap(document),
        choices=max(positive(document, key, MAX_CHOICES) or 1 for key in ("n", "best_of")),
        stream=document.get("stream") is True,
        wants_usage=isinstance(options, dict) and options.get("include_usage") is True,
        document=document,
    )


def _model(document: dict[str, JSON], deployment: str | None) -> str:
    if deployment is None:
        return model_name(document)
    if document.get("model") not in (None, deployment):
        raise ExchangeError(
            "model_mismatch", "/model: the route names another deployment; leave the field out"
        )
    refuse_other_models(document, deployment)
    return deployment


def _output_cap(document: dict[str, JSON]) -> int | None:
    """The largest of the fields that bound the output."""
    caps = (positive(document, key) for key in _CAPS if key in document)
    return max((cap for cap in caps if cap is not None), default=None)


def write_request(
    request: LlmRequest,
    edits: Mapping[str, str],
    inject_usage: bool,
    max_output_tokens: int | None,
) -> bytes | None:
    """The canonical bytes of the changed request, or None when nothing changes."""
    document = apply_edits(request.document, edits) if edits else dict(request.document)
    changed = bool(edits)
    if inject_usage and request.stream and not request.wants_usage:
        options = document.get("stream_options")
        document["stream_options"] = {
            **(options if isinstance(options, dict) else {}),
            "include_usage": True,
        }
        changed = True
    if max_output_tokens is not None:
        changed |= _lower_cap(document, max_output_tokens)
    return dumps_canonical(document) if changed else None


def _lower_cap(document: dict[str, JSON], most: int) -> bool:
    present = [k for k in _CAPS if isinstance(document.get(k), int)]
    lowered = {k: most for k in present if int(str(document[k])) > most}
    if not present:
        lowered = {"max_completion_tokens": most}  # `max_tokens` is deprecated
    document.update(lowered)
    return bool(lowered)
