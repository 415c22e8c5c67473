"""Keys: digests that cannot be steered into each other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from promptward.ledger import bucket_key, digest
from promptward.ports import Window

HOUR = Window("fixed", 3600)


def test_a_key_shows_nothing_of_the_partition() -> None:
    key = bucket_key("acme", "tokens", "claim.sub=ann@example.com", "total_tokens", HOUR)
    assert len(key) == 32
    assert set(key) <= set("0123456789abcdef")


def test_keys_are_stable_across_releases() -> None:
    # Stored ledgers depend on it: a change needs a migration.
    key = bucket_key("acme", "tokens", "claim.sub=ann", "total_tokens", HOUR)
    assert key == "1a20cddb5cfa3318459ce79599f61c5f"


@given(st.lists(st.text(max_size=8), max_size=4), st.lists(st.text(max_size=8), max_size=4))
def test_different_fields_have_different_digests(a: list[str], b: list[str]) -> None:
    assert (digest(*a) == digest(*b)) == (a == b)


def test_every_part_of_a_window_counts() -> None:
    keys = {
        bucket_key("t", "b", "p", "u", window)
        for window in (
            HOUR,
            Window("sliding", 3600),
            Window("fixed", 60),
            Window("fixed", 3600, "Europe/Berlin"),
            Window("fixed", 3600, months=1),
        )
    }
    assert len(keys) == 5
