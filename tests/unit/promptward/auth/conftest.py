"""Signing keys, made once: generating an RSA key takes a tenth of a second."""

from __future__ import annotations

import pytest

from promptward.testing.tokens import TokenMint, key_mint, secret_mint

SECRET = "a secret of at least thirty-two bytes"


@pytest.fixture(scope="session")
def mints() -> dict[str, TokenMint]:
    """One key per algorithm; key ids are the algorithm's name in lower case."""
    made = {alg: key_mint(alg, alg.lower()) for alg in ("RS256", "PS256", "ES256", "EdDSA")}
    return {**made, "HS256": secret_mint(SECRET)}
