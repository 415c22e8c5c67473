"""Pseudonyms and the restorer."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptward.errors import ExchangeError
from promptward.operators import Placeholders, Pseudonymize, Restorer

NONCE = "0badc0ffee"


def vault_of(count: int) -> dict[str, str]:
    return {f"<NAME_{n}_{NONCE}>": f"value {n}" for n in range(1, count + 1)}


def restore(vault: dict[str, str], *chunks: str) -> str:
    restorer = Restorer(vault)
    return "".join(map(restorer.feed, chunks)) + restorer.close()


def test_the_same_value_gets_the_same_placeholder() -> None:
    operator = Pseudonymize(NONCE)
    first = operator.apply("NAME", "Ann")
    assert first == f"<NAME_1_{NONCE}>"
    assert operator.apply("NAME", "Bob") == f"<NAME_2_{NONCE}>"
    assert operator.apply("NAME", "Ann") == first
    assert operator.apply("CITY", "Ann") == f"<CITY_3_{NONCE}>"


def test_a_vault_is_continued() -> None:
    operator = Pseudonymize(NONCE)
    operator.apply("EMAIL_ADDRESS", "ann@example.org")
    more = Pseudonymize(NONCE, operator.vault)
    assert more.apply("EMAIL_ADDRESS", "ann@example.org") == f"<EMAIL_ADDRESS_1_{NONCE}>"
    assert more.apply("EMAIL_ADDRESS", "bob@example.org") == f"<EMAIL_ADDRESS_2_{NONCE}>"
    assert len(operator.vault) == 2


def test_the_nonce_must_not_occur_in_the_text() -> None:
    operator = Pseudonymize(NONCE)
    assert operator.unused_in("hello")
    assert not operator.unused_in(f"<NAME_1_{NONCE}>")


def test_only_a_proper_beginning_of_a_placeholder_is_waited_for() -> None:
    placeholders = Placeholders(vault_of(12))
    whole = f"<NAME_1_{NONCE}>"
    beginnings = [whole[:size] for size in range(1, len(whole))]
    assert all(map(placeholders.one_begins_with, [*beginnings, "<NAME_12_"]))
    others = [whole, f"<NAME_12_{NONCE}>", "<NAME_2x", "<NAMES", "<ZZ", "<", "a"]
    assert [o for o in others if placeholders.one_begins_with(o)] == ["<"]
    assert not Placeholders({}).one_begins_with("<")
    assert repr(placeholders) == "Placeholders(12 values)"


@pytest.mark.parametrize("nonce", ["", "abc", "XYZXYZ", "0badC0"])
def test_a_bad_nonce_is_refused(nonce: str) -> None:
    with pytest.raises(ValueError, match="nonce"):
        Pseudonymize(nonce)


def test_repr_shows_no_value() -> None:
    operator = Pseudonymize(NONCE)
    operator.apply("NAME", "Ann")
    assert "Ann" not in repr(operator)


def test_restores_what_the_vault_has_and_nothing_else() -> None:
    vault = vault_of(12)
    assert restore(vault, f"<NAME_1_{NONCE}> and <NAME_12_{NONCE}>.") == "value 1 and value 12."
    for other in (
        f"<NAME_13_{NONCE}>",
        "<NAME_1_ffffffffff>",
        f"<NAME_1_{NONCE}",
        "<b>",
        "<<",
        ">",
    ):
        assert restore(vault, other) == other


def test_a_placeholder_after_a_false_beginning() -> None:
    assert restore(vault_of(1), f"<<NAME_1_{NONCE}> <NAME_1<NAME_1_{NONCE}>") == (
        "<value 1 <NAME_1value 1"
    )


def test_a_restored_value_is_not_restored_again() -> None:
    vault = {f"<A_1_{NONCE}>": f"<A_2_{NONCE}>", f"<A_2_{NONCE}>": "secret"}
    assert restore(vault, f"<A_1_{NONCE}>") == f"<A_2_{NONCE}>"


def test_only_a_possible_beginning_waits() -> None:
    restorer = Restorer(vault_of(1))
    assert restorer.feed("a < b, <NAME") == "a < b, "
    assert restorer.pending == 5
    assert restorer.feed("S> <i") == "<NAMES> <i"
    assert restorer.pending == 0


def test_an_empty_vault_passes_everything() -> None:
    assert restore({}, "<A_1_x>", "<") == "<A_1_x><"


@pytest.mark.parametrize("placeholder", ["NAME", "<NAME", "NAME>", "<A<B>", "<>A>", ""])
def test_a_malformed_vault_is_refused(placeholder: str) -> None:
    with pytest.raises(ExchangeError) as caught:
        Restorer({placeholder: "x"})
    assert caught.value.code == "invalid_vault"


PIECES = st.lists(
    st.sampled_from([*vault_of(11), "<", ">", "<NAME_1", f"_{NONCE}>", "text ", "<NAME_111_", "é"]),
    max_size=8,
).map("".join)


@given(PIECES, st.lists(st.integers(0, 1000), max_size=5))
def test_any_cuts_equal_the_whole(text: str, cuts: list[int]) -> None:
    vault = vault_of(11)
    whole = restore(vault, text)
    places = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    assert restore(vault, *(text[a:b] for a, b in pairwise(places))) == whole
    assert restore(vault, *text) == whole
