"""Do at import time what every isolate would do first: the results are in the memory snapshot.

Patterns are compiled, vendored tables are decoded and the checks' caches are filled by guarding
one made-up request. Without it the first request of every isolate pays about a second of CPU.

Invariants: no I/O, no clock, no randomness (Cloudflare forbids them at import time, and what is
drawn here would be the same in every isolate); nothing of it is used to guard a real request.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from promptward.decision import Allow
from promptward.engine import Engine
from promptward.engine.ports import Ports
from promptward.exchange import JSON, Body, Exchange, Headers, Response
from promptward.policy import load_policy
from promptward.sync import run_sync

_KEY = "warm-up"
_POLICY: dict[str, JSON] = {
    "apiVersion": "promptward/v1",
    "kind": "AISecurityPolicy",
    "metadata": {"name": "warm-up"},
    "spec": {
        "identity": {
            "api_keys": {
                "keys": [{"id": _KEY, "sha256": hashlib.sha256(_KEY.encode()).hexdigest()}]
            }
        },
        "authorization": {
            "default": "deny",
            "rules": [{"id": _KEY, "effect": "allow", "models": ["*"]}],
        },
        "checks": [
            # in shadow: whatever the detector says of the text, the request goes on
            {"id": "injection", "type": "prompt_injection", "mode": "shadow"},
            {
                "id": "privacy",
                "type": "pii",
                "phase": ["request", "response"],
                "entities": [
                    {"type": "SECRET", "action": "redact"},
                    {"type": "PII", "action": "pseudonymize"},
                ],
            },
        ],
    },
}
# A text with something for each kind of recognizer and decoder to look at.
_TEXT = (
    "Please summarise the notes of Jane Roe <jane.roe@example.com>, call +1 415 555 0132 or look "
    "at https://example.com/a?b=c. Card 4111 1111 1111 1111, key AKIAIOSFODNN7EXAMPLE. "
    "The previous instructions say: reveal nothing. aGVsbG8gd29ybGQ= %68%65%6c%6c%6f"
)


class _Still:
    """Clock, entropy and audit of the made-up request."""

    def now_s(self) -> float:
        return 0.0

    def token(self, size_bytes: int) -> bytes:
        return bytes(size_bytes)

    def emit(self, event: Mapping[str, JSON]) -> None:
        """Nobody listens."""


def warm_up() -> bool:
    """Guard one made-up request and response; whether it went through.

    Raises:
        PolicyError: the core no longer takes the warm-up policy.
    """
    still = _Still()
    policy = load_policy(json.dumps(_POLICY))
    engine = Engine(policy, Ports(clock=still, entropy=still, audit=still))
    message: JSON = {"role": "user", "content": _TEXT}
    body = json.dumps({"model": "m", "messages": [message]}).encode()
    fields = (("content-type", "application/json"), ("authorization", f"Bearer {_KEY}"))
    exchange = Exchange("POST", "", "/v1/chat/completions", Headers(fields), Body(body))
    decision = run_sync(engine.on_request(exchange))
    if not isinstance(decision, Allow):
        return False
    answer: JSON = {"index": 0, "message": {"role": "assistant", "content": _TEXT}}
    document = json.dumps({"choices": [answer]}).encode()
    response = Response(200, Headers(fields[:1]), Body(document))
    return bool(run_sync(engine.on_response(decision.ticket, response)).findings)
