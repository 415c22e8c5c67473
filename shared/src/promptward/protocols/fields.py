"""Reading the top-level fields of a request by a table; unknown fields are walked for text.

Invariant: every member of the document is either type-checked by its row or walked. A row is a
function of (reader, key, value); protocols add their own in a subclass. Null means absent for
every field; whether a field must be there is the protocol's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Self

from promptward.errors import ExchangeError
from promptward.exchange import JSON, Source
from promptward.protocols.base import RequestLimits
from promptward.protocols.collect import PartCollector, refuse_other_case, wrong_type


class FieldReader:
    """Collects parts and tool names while it reads.

    Args:
        limits: see RequestLimits.
    """

    __slots__ = ("collector", "limits", "tools")

    def __init__(self, limits: RequestLimits) -> None:
        self.limits = limits
        self.collector = PartCollector(limits.max_parts)
        self.tools: dict[str, None] = {}  # ordered set

    def read(
        self, document: dict[str, JSON], rows: Mapping[str, Callable[[Self, str, JSON], None]]
    ) -> None:
        """Read every member of `document` in order.

        Raises:
            ExchangeError: a member has the wrong type.
        """
        for key, value in document.items():
            row = rows.get(key)
            if row is not None:
                row(self, key, value)
            else:
                refuse_other_case("", (key,), rows)
                self.collector.member("", Source.USER, key, value, document)

    def model(self, key: str, value: JSON) -> None:
        self.collector.model(f"/{key}", Source.USER, value)

    def word(self, key: str, value: JSON) -> None:
        self.collector.word(f"/{key}", Source.USER, value)

    def text(self, key: str, value: JSON) -> None:
        self.collector.text(f"/{key}", Source.USER, value)

    def number(self, key: str, value: JSON) -> None:
        if value is not None and type(value) not in (int, float):
            wrong_type(f"/{key}", "a number", value)

    def integer(self, key: str, value: JSON) -> None:
        if value is not None and type(value) is not int:
            wrong_type(f"/{key}", "an integer", value)

    def boolean(self, key: str, value: JSON) -> None:
        if value is not None and type(value) is not bool:
            wrong_type(f"/{key}", "a boolean", value)

    def object(self, key: str, value: JSON) -> None:
        if value is not None:
            self.collector.walk(f"/{key}", Source.USER, self.collector.object(f"/{key}", value))

    def schema(self, key: str, value: JSON) -> None:
        if value is not None:
            document = self.collector.object(f"/{key}", value)
            self.collector.walk(f"/{key}", Source.TOOL_DEFINITION, document)

    def words(self, key: str, value: JSON) -> None:
        for index, item in enumerate(self.collector.array(f"/{key}", value)):
            self.collector.word(f"/{key}/{index}", Source.USER, item)

    def texts(self, key: str, value: JSON) -> None:
        if isinstance(value, list):
            for index, item in enumerate(value):
                if not isinstance(item, str):
                    wrong_type(f"/{key}/{index}", "a string", item)
                self.collector.add(f"/{key}/{index}", Source.USER, item)
        elif value is None or isinstance(value, str):
            self.collector.text(f"/{key}", Source.USER, value)
        else:
            wrong_type(f"/{key}", "a string or an array of strings", value)


def model_name(document: dict[str, JSON]) -> str:
    """The model a request names.

    Raises:
        ExchangeError: it names none, or further ones beside it.
    """
    model = document.get("model")
    if not isinstance(model, str):
        if "model" in document:
            wrong_type("/model", "a string", model)
        raise ExchangeError("missing_field", "/model: expected the name of a model")
    if not 1 <= len(model) <= 256:
        raise ExchangeError("invalid_value", "/model: expected 1 to 256 characters")
    refuse_other_models(document, model)
    return model


def refuse_other_models(document: dict[str, JSON], model: str) -> None:
    """Refuse fields by which a client lets an aggregator choose another model than `model`.

    Raises:
        ExchangeError: `model_mismatch`.
    """
    for key in _FURTHER_MODELS:
        value = document.get(key)
        if value is not None and any(name != model for name in _strings(value)):
            raise ExchangeError(
                "model_mismatch", f"/{key}: names another model than the request; leave it out"
            )


def _strings(value: JSON) -> Iterator[str]:
    """Every string in `value`, object keys but `model` included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, dict):
        for key, member in value.items():
            if key != "model":
                yield key
            yield from _strings(member)


# `models`: OpenRouter, "Model fallbacks"; `fallbacks`: LiteLLM proxy, "Client-side fallbacks".
_FURTHER_MODELS = ("models", "fallbacks")


def positive(document: dict[str, JSON], key: str, most: int = 2**31 - 1) -> int | None:
    """An integer field that must be 1 to `most`; None when it is absent.

    Raises:
        ExchangeError: it is out of range.
    """
    value = document.get(key)
    if not isinstance(value, int):
        return None
    if not 1 <= value <= most:
        raise ExchangeError("invalid_value", f"/{key}: expected 1 to {most}")
    return value
