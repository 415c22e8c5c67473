"""Only the token itself, behind the right scheme, is accepted."""

from __future__ import annotations

import pytest

from promptward_envoy.bearer import BearerToken

SECRET = "a token of a test"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_token_is_accepted(scheme: str) -> None:
    assert BearerToken(SECRET).is_in(f"{scheme} {SECRET}")


@pytest.mark.parametrize(
    "field", ["", SECRET, f"Basic {SECRET}", "Bearer ", f"Bearer {SECRET}x", "Bearer \udcff"]
)
def test_nothing_else_is(field: str) -> None:
    assert not BearerToken(SECRET).is_in(field)


def test_the_token_is_not_kept() -> None:
    token = BearerToken(SECRET)
    assert not any(SECRET in repr(getattr(token, name)) for name in token.__slots__)
