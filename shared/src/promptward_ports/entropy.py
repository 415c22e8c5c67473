"""The operating system's random source as the `Entropy` port."""

from __future__ import annotations

import secrets


class SystemEntropy:
    """`promptward.ports.Entropy` over `secrets` (getrandom(2) on Linux)."""

    __slots__ = ()

    def token(self, size_bytes: int) -> bytes:
        """`size_bytes` random bytes, 1..64."""
        if not 1 <= size_bytes <= 64:
            raise ValueError("expected 1 to 64 bytes")
        return secrets.token_bytes(size_bytes)
