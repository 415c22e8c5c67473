"""Claim paths and matchers: the table of what holds for which claim."""

from __future__ import annotations

from typing import Any

import pytest

from promptward.auth.claims import compile_matcher, find, parse_path

CLAIMS: dict[str, Any] = {
    "sub": "ann",
    "realm_access": {"roles": ["dev", "ops"]},
    "https://acme.example/team": "red",
    "a.b": {"c~d": 1},
    "list": [{"x": 1}],
    "nothing": None,
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("sub", "ann"),
        ("realm_access.roles", ["dev", "ops"]),
        ("realm_access.groups", None),
        ("sub.name", None),
        ("list.0", None),
        ("list.0.x", None),
        ("/list/0", None),
        ("/https:~1~1acme.example~1team", "red"),
        ("/a.b/c~0d", 1),
        ("a.b", None),
        ("nothing", None),
        ("nothing.more", None),
        ("absent", None),
    ],
)
def test_find(path: str, value: object) -> None:
    assert find(CLAIMS, parse_path(path)) == value


@pytest.mark.parametrize("path", ["", ".", "a.", ".a", "a..b", "x" * 257, "/a~2b", "/~"])
def test_malformed_paths_are_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"claim path|JSON pointer"):
        parse_path(path)


def test_a_url_as_path_is_refused_with_the_pointer_to_write() -> None:
    with pytest.raises(ValueError, match=r"'/https:~1~1acme\.example~1team'"):
        parse_path("https://acme.example/team")


HOLDS: list[tuple[Any, Any]] = [
    ("gold", "gold"),
    (True, True),
    (1, 1),
    (1, 1.0),
    (1.5, 1.5),
    (["gold", "silver"], "silver"),
    (["gold", 3], 3),
    (["gold"], ["x", "gold"]),
    ({"any_of": ["a", "b"]}, "b"),
    ({"any_of": ["a", "b"]}, ["c", "b"]),
    ({"contains": "ml"}, ["x", "ml"]),
    ({"contains": "read"}, "openid read write"),
    ({"contains": 3}, [1, 2, 3]),
    ({"glob": "svc-*"}, "svc-chat"),
    ({"glob": "svc-*"}, [1, "svc-chat"]),
    ({"exists": True}, False),
    ({"exists": True}, []),
    ({"exists": False}, None),
    ({"glob": "a*", "contains": "b"}, ["a1", "b"]),
]
FAILS: list[tuple[Any, Any]] = [
    ("gold", "Gold"),
    ("gold", ["gold"]),
    ("gold", None),
    ("1", 1),
    (1, "1"),
    (1, True),
    (0, False),
    (True, 1),
    (True, "true"),
    (["gold"], "bronze"),
    (["gold"], None),
    ([1], [True]),
    ({"any_of": ["a"]}, {"a": 1}),
    ({"any_of": ["a"]}, [["a"], {"a": 1}, None]),
    ({"contains": "ml"}, "html"),
    ({"contains": "ml"}, "a,ml"),
    ({"contains": "ml"}, None),
    ({"contains": "ml"}, {"ml": True}),
    ({"contains": "read write"}, "openid read write"),
    ({"contains": 3}, "1 2 3"),
    ({"glob": "svc-*"}, 5),
    ({"glob": "svc-*"}, None),
    ({"glob": "1"}, 1),
    ({"exists": True}, None),
    ({"exists": False}, ""),
    ({"glob": "a*", "contains": "b"}, ["a1"]),
]


@pytest.mark.parametrize(("written", "claim"), HOLDS)
def test_matcher_holds(written: Any, claim: Any) -> None:
    assert compile_matcher(written)(claim) is True


@pytest.mark.parametrize(("written", "claim"), FAILS)
def test_matcher_fails(written: Any, claim: Any) -> None:
    assert compile_matcher(written)(claim) is False


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (None, "string, number or boolean"),
        ({}, "any_of, contains, exists, glob"),
        ({"containz": "x"}, "unknown: containz; did you mean 'contains'"),
        ({"any_of": "x"}, "list"),
        ([], "1 to 256 values"),
        ([["x"]], "any_of: expected a string"),
        ({"contains": ["x"]}, "contains: expected a string"),
        ({"glob": 1}, "glob: expected a string"),
        ({"glob": ""}, "glob: expected a string"),
        ({"exists": "yes"}, "true or false"),
        (["x"] * 257, "1 to 256 values"),
    ],
)
def test_malformed_matchers_are_refused(written: Any, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        compile_matcher(written)
