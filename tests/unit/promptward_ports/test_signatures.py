"""The `cryptography` verifier beyond the port's contract (tests/contracts)."""

from __future__ import annotations

import pytest
from cryptography.exceptions import UnsupportedAlgorithm

from promptward.errors import PortError
from promptward.sync import run_sync
from promptward.testing.signatures import signature_cases
from promptward_ports import signatures
from promptward_ports.signatures import CryptographyVerifier

VALID = {case.alg: case for case in signature_cases() if case.valid}


def verify(alg: str) -> bool:
    case = VALID[alg]
    return run_sync(
        CryptographyVerifier().verify(alg, case.key, case.signing_input, case.signature)
    )


def test_public_keys_are_parsed_once() -> None:
    signatures._parse.cache_clear()
    for _ in range(3):
        for alg in ("RS256", "PS256", "ES256", "EdDSA"):
            assert verify(alg)
    assert signatures._parse.cache_info().misses == 4


def test_secrets_are_not_kept() -> None:
    signatures._parse.cache_clear()
    assert verify("HS256")
    assert signatures._parse.cache_info().currsize == 0


def test_an_algorithm_this_build_lacks_is_an_error_not_a_no(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unsupported(*_: object) -> bool:
        raise UnsupportedAlgorithm("fips")

    monkeypatch.setattr(signatures._ALGORITHMS["EdDSA"], "verify", unsupported)
    with pytest.raises(PortError, match="EdDSA is not supported here"):
        verify("EdDSA")
