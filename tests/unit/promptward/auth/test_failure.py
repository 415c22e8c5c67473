"""The 401 challenge."""

from __future__ import annotations

import re

import pytest

from promptward.auth.failure import AuthCode, AuthFailure


def test_no_credentials_get_a_plain_challenge() -> None:
    failure = AuthFailure(AuthCode.MISSING_CREDENTIALS, "credentials are required")
    assert failure.status == 401
    assert failure.headers == (("www-authenticate", "Bearer"),)


def test_several_credentials_are_an_invalid_request() -> None:
    failure = AuthFailure(AuthCode.AMBIGUOUS_CREDENTIALS, "send one")
    assert failure.headers == (
        ("www-authenticate", 'Bearer error="invalid_request", error_description="send one"'),
    )


@pytest.mark.parametrize("code", sorted(set(AuthCode) - {AuthCode.MISSING_CREDENTIALS}))
def test_every_other_code_has_a_well_formed_error(code: AuthCode) -> None:
    (name, value), *rest = AuthFailure(code, "why").headers
    assert (name, rest) == ("www-authenticate", [])
    assert re.fullmatch(
        r'Bearer error="(invalid_token|invalid_request)", error_description="why"', value
    )
