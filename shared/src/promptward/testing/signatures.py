"""What every implementation of the `SignatureVerifier` port must answer.

The vectors are data, so that a verifier that lives in another runtime (WebCrypto in a Worker) is
held to the same ones. Sources: RFC 7515 appendix A, RFC 8037 appendix A.4; where the RFCs have no
usable example the vector says how it was made.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from importlib.resources import files

from promptward.exchange import JSON
from promptward.ports import SignatureVerifier


@dataclass(frozen=True, slots=True)
class SignatureCase:
    """One question and its answer."""

    name: str
    alg: str
    key: dict[str, JSON]
    signing_input: bytes
    signature: bytes
    valid: bool


def signature_cases() -> tuple[SignatureCase, ...]:
    """Every vector, in the order of the file."""
    text = (files("promptward.testing") / "signature_vectors.json").read_text("utf-8")
    return tuple(
        SignatureCase(
            f"{case['alg']}: {case['name']}",
            case["alg"],
            case["key"],
            case["signing_input"].encode("ascii"),
            base64.urlsafe_b64decode(case["signature"] + "=" * (-len(case["signature"]) % 4)),
            case["valid"],
        )
        for case in json.loads(text)
    )


async def wrong_answers(verifier: SignatureVerifier) -> list[str]:
    """Names of the vectors that `verifier` answers wrongly; empty when it keeps the contract."""
    return [
        case.name
        for case in signature_cases()
        if await verifier.verify(case.alg, case.key, case.signing_input, case.signature)
        is not case.valid
    ]
