"""Literal anchors: windows, pivots, folding."""

from __future__ import annotations

from promptward.recognizers import Literals, Match, Recognizer
from promptward.recognizers.compiled import CompiledRecognizer
from promptward.recognizers.literals import LiteralScanner


def scan(text: str, *specs: Recognizer) -> list[str]:
    scanner = LiteralScanner([(CompiledRecognizer(spec), 0.5) for spec in specs])
    found: list[Match] = []
    scanner.scan(text, 0, found)
    return sorted(text[m.start : m.end] for m in found)


def literal(pattern: str, anchor: Literals, id: str = "l", **more: object) -> Recognizer:  # noqa: A002
    return Recognizer(id, "L", pattern, 0.9, anchor, **more)  # type: ignore[arg-type]


def test_a_prefix() -> None:
    spec = literal("ab_[0-9]{3}", Literals(("ab_",)))
    assert scan("ab_123 ab_12 xab_123 (ab_999)", spec) == ["ab_123", "ab_999"]


def test_several_prefixes_share_a_scan() -> None:
    specs = [literal(f"{p}-[0-9]{{2}}", Literals((f"{p}-",)), id=p) for p in ("sk", "gl", "xo")]
    assert scan("sk-11 gl-22 xo-33 zz-44 -", *specs) == ["gl-22", "sk-11", "xo-33"]


def test_a_literal_of_common_letters_only() -> None:
    assert scan("tea tee", literal("te[ae]", Literals(("te",)))) == ["tea", "tee"]


def test_text_before_the_literal() -> None:
    spec = literal("[a-z]{1,5}@[a-z]{2}", Literals(("@",), lead=5, lead_class="[a-z]"))
    assert scan("ab@cd, abcdefgh@ij, @kl, x@yz@aa", spec) == ["ab@cd", "x@yz"]


def test_a_word_before_the_match() -> None:
    spec = literal("[0-9]{4}", Literals(("pin",), trail=10, fold=True), preceded_by="pin[ :]{1,3}")
    assert scan("PIN: 1234, pin 5678, 9999, pinned 1111", spec) == ["1234", "5678"]


def test_neighbours_of_the_literal() -> None:
    spec = literal("[a-f]:[a-f]", Literals((":",), lead=1, before="[a-f]", after="[a-f]"))
    assert scan("a:b, g:a, :c, d:", spec) == ["a:b"]


def test_what_follows_one_literal_of_every_match() -> None:
    spec = literal("a[0-9]{2,3}a?", Literals(("a",), after="[0-9]{2}"))
    assert scan("a1 a12 a1a a123a a12", spec) == ["a12", "a12", "a123a"]


def test_literals_that_share_a_character_are_told_apart_by_what_is_before_it() -> None:
    specs = [
        literal("a_[0-9]", Literals(("a_",)), id="a"),
        literal("_[0-9]{2}", Literals(("_",)), id="u", not_before="[0-9A-Za-z_]"),
        literal("[a-f]{2}_[a-f]", Literals(("_",), lead=2, before="[a-f]{2}"), id="h"),
    ]
    assert scan("a_1 b_2 _34 ab_c gg_a é_56 x_78", *specs) == ["_34", "_56", "a_1", "ab_c"]


def test_a_long_key_needs_a_long_run() -> None:
    spec = literal("key-[0-9a-z]{20}", Literals(("key-",)))
    value = "key-" + "a1b2" * 5
    for before in (0, 200, 65_530):
        assert scan(" " * before + value + " " * 200, spec) == [value]
    assert scan("key-a1b2 " * 50, spec) == []


def test_starts_after_a_word_are_those_of_the_pattern() -> None:
    spec = literal(
        "[0-9]{4}", Literals(("pin",), trail=8, fold=True), preceded_by="pin.{1,6}", not_before=""
    )
    assert scan("pin x123456 78901", spec) == ["3456"]


def test_only_what_is_allowed_is_looked_for() -> None:
    specs = [literal(f"{p}-[0-9]{{2}}", Literals((f"{p}-",)), id=p) for p in ("sk", "gl")]
    specs.append(literal("k[a-z]", Literals(("k",), fold=True), id="k"))
    scanner = LiteralScanner([(CompiledRecognizer(spec), 0.5) for spec in specs])
    found: list[Match] = []
    scanner.scan("sk-11 gl-22 ko", 0, found, frozenset((2,)))
    assert [m.recognizer for m in found] == ["k"]
