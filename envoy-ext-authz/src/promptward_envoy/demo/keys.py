"""The demo's API keys. They are public on purpose and only in the demo policy, as SHA-256."""

from __future__ import annotations

import hashlib

from promptward.policy import CompiledPolicy

MODEL = "gpt-4o-mini"
KEYS = {
    "full": "pw-demo-full-5b1f0c7e",
    "restricted": "pw-demo-restricted-93d2a4e8",
    "tiny": "pw-demo-tiny-c60e7f1b",
}


def keys_in(policy: CompiledPolicy) -> dict[str, str]:
    """Those demo keys that `policy` knows."""
    settings = policy.spec.identity.api_keys
    known = {key.sha256.lower() for key in settings.keys} if settings else set()
    return {
        name: key for name, key in KEYS.items() if hashlib.sha256(key.encode()).hexdigest() in known
    }
