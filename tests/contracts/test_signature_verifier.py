"""The contract of the SignatureVerifier port, held by every implementation that runs on CPython."""

from __future__ import annotations

import pytest

from promptward.ports import SignatureVerifier
from promptward.sync import run_sync
from promptward.testing.signatures import SignatureCase, signature_cases, wrong_answers
from promptward_ports.signatures import CryptographyVerifier

CASES = signature_cases()


@pytest.fixture(params=[CryptographyVerifier])
def verifier(request: pytest.FixtureRequest) -> SignatureVerifier:
    made: SignatureVerifier = request.param()
    return made


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_answers_every_vector(case: SignatureCase, verifier: SignatureVerifier) -> None:
    answer = run_sync(verifier.verify(case.alg, case.key, case.signing_input, case.signature))
    assert answer is case.valid


@pytest.mark.parametrize("alg", ["HS256", "RS256", "PS256", "ES256", "EdDSA"])
def test_the_vectors_cover_both_answers_for_each_algorithm(alg: str) -> None:
    assert {case.valid for case in CASES if case.alg == alg} == {True, False}


def test_the_summary_names_what_a_careless_verifier_gets_wrong() -> None:
    class Careless:
        async def verify(self, *_: object) -> bool:
            return True

    wrong = run_sync(wrong_answers(Careless()))
    assert wrong == [case.name for case in CASES if not case.valid]
    assert run_sync(wrong_answers(CryptographyVerifier())) == []
