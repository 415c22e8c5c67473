"""Decoding: every error at once, each with its path, what was expected and the nearest spelling."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

import pytest

from promptward.errors import PolicyError
from promptward.exchange import JSON
from promptward.policy.decode import decode
from promptward.settings import Kind, setting


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True)
class Circle:
    type: Literal["circle"] = setting("t")
    radius: float = setting("r", ge=0)


@dataclass(frozen=True, slots=True)
class Square:
    type: Literal["square"] = setting("t")
    side: int = setting("s", ge=1, le=9)


@dataclass(frozen=True, slots=True)
class Inner:
    name: str = setting("n", min_length=2, max_length=4)

    def problems(self) -> Iterable[tuple[str, str]]:
        if self.name == "evil":
            yield "name", "must not be evil"


@dataclass(frozen=True, slots=True)
class Everything:
    count: int = setting("c", ge=1, le=10)
    ratio: float = setting("r", default=0.5, ge=0, le=1)
    flag: bool = setting("f", default=False)
    colour: Colour = setting("co", default=Colour.RED)
    inner: Inner | None = setting("i", default=None)
    names: tuple[str, ...] = setting("ns", default=(), max_length=2)
    shapes: tuple[Circle | Square, ...] = setting("sh", default=())
    limits: Mapping[str, int] = setting("l", default_factory=dict)
    free: Mapping[str, JSON] = setting("fr", default_factory=dict)
    wait: int = setting("w", kind=Kind.DURATION, default=60, ge=1)
    digest: str | None = setting("d", kind=Kind.SHA256, default=None)
    header: str = setting("h", kind=Kind.HEADER, default="x-a")
    url: str | None = setting("u", kind=Kind.URL, default=None)
    ident: str = setting("id", kind=Kind.IDENTIFIER, default="a")
    secret: str | None = setting("se", kind=Kind.SECRET, default=None)


def problems_of(data: Any) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        decode(Everything, data)
    return list(caught.value.problems)


def test_defaults_and_values() -> None:
    made = decode(
        Everything,
        {
            "count": 3,
            "ratio": 1,
            "colour": "blue",
            "inner": {"name": "abc"},
            "names": ["a", "b"],
            "shapes": [{"type": "square", "side": 2}, {"type": "circle", "radius": 1.5}],
            "limits": {"x": 1},
            "free": {"any": [1, None, {"deep": True}]},
            "header": "X-Upper",
        },
    )
    assert made.count == 3
    assert made.ratio == 1.0
    assert isinstance(made.ratio, float)
    assert made.colour is Colour.BLUE
    assert made.inner == Inner("abc")
    assert made.shapes == (Square("square", 2), Circle("circle", 1.5))
    assert made.free == {"any": [1, None, {"deep": True}]}
    assert made.header == "x-upper"
    assert made.wait == 60


@pytest.mark.parametrize(
    ("written", "seconds"),
    [(90, 90), ("90s", 90), ("15m", 900), ("1h", 3600), ("7d", 604800), ("PT1H", 3600)]
    + [("P1DT2H3M4S", 93784), ("PT0.5S", None), ("soon", None), (True, None), (1.5, None)]
    + [("P", None), ("PT", None), (0, None)],
)
def test_durations(written: Any, seconds: int | None) -> None:
    data = {"count": 1, "wait": written}
    if seconds is None:
        assert problems_of(data)[0].startswith("wait: expected a duration")
    else:
        assert decode(Everything, data).wait == seconds


def test_every_error_is_reported_at_once_with_its_path() -> None:
    problems = problems_of(
        {
            "count": "3",
            "ratio": 2,
            "colur": "red",
            "colour": "rod",
            "inner": {"name": "toolong"},
            "names": ["a", 1],
            "shapes": [{"type": "squire"}, {"type": "square", "side": 0}, 7],
            "limits": {"x": "y"},
            "zzz": 1,
        }
    )
    assert sorted(problems) == [
        "colour: expected one of red, blue; did you mean 'red'?",
        "colur: unknown setting; did you mean 'colour'?",
        "count: expected a whole number, at least 1, at most 10, got a string",
        "inner.name: expected a string, 2 or more characters, at most 4 characters, got 7 characters",
        "limits.x: expected a whole number, got a string",
        "names[1]: expected a string, got a number",
        "ratio: expected a number, at least 0, at most 1, got 2",
        "shapes[0].type: expected one of circle, square; did you mean 'square'?",
        "shapes[1].side: expected a whole number, at least 1, at most 9, got 0",
        "shapes[2]: expected a mapping, got a number",
        "zzz: unknown setting; known here: count, ratio, flag, colour, inner, names, shapes, limits,"
        " free, wait, digest, header, url, ident, secret",
    ]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({}, "count: required: a whole number, at least 1, at most 10"),
        ({"count": None}, "count: required: a whole number, at least 1, at most 10"),
        ({"count": True}, "count: expected a whole number, at least 1, at most 10, got a boolean"),
        ({"count": 1.0}, "count: expected a whole number, at least 1, at most 10, got a number"),
        (
            {"count": 1, "ratio": float("nan")},
            "ratio: expected a number, at least 0, at most 1, got nan",
        ),
        ({"count": 1, "flag": 1}, "flag: expected true or false, got a number"),
        ({"count": 1, "names": "ab"}, "names: expected a list, got a string"),
        (
            {"count": 1, "names": ["a", "b", "c"]},
            "names: expected a list, at most 2 items, got 3 items",
        ),
        ({"count": 1, "limits": []}, "limits: expected a mapping, got a list"),
        ({"count": 1, "limits": {1: 2}}, "limits: keys must be strings, got a number"),
        (
            {"count": 1, "digest": "ab"},
            "digest: expected a SHA-256 digest as 64 hexadecimal digits",
        ),
        ({"count": 1, "header": "a b"}, "header: expected an HTTP header name"),
        ({"count": 1, "url": "ftp://x"}, "url: expected an absolute http(s) URL"),
        ({"count": 1, "secret": ""}, "secret: is empty: an unresolved secret reference?"),
        ({"count": 1, "inner": {"name": "evil"}}, "inner.name: must not be evil"),
        (7, "(top level): expected a mapping, got a number"),
    ],
)
def test_one_error(data: Any, problem: str) -> None:
    assert problems_of(data) == [problem]


def test_an_error_never_shows_a_value_in_the_wrong_place() -> None:
    assert "hunter2" not in "".join(problems_of({"count": "hunter2", "flag": "hunter2"}))


def test_identifiers_have_no_spaces() -> None:
    assert problems_of({"count": 1, "ident": "a b"})[0].startswith("ident: expected letters")


def test_one_or_many() -> None:
    @dataclass(frozen=True, slots=True)
    class Phases:
        phase: tuple[Literal["request", "response"], ...] = setting("p", one_or_many=True)

    assert decode(Phases, {"phase": "request"}).phase == ("request",)
    assert decode(Phases, {"phase": ["request", "response"]}).phase == ("request", "response")
    with pytest.raises(PolicyError, match=r"phase\[0\]: expected one of"):
        decode(Phases, {"phase": "both"})
