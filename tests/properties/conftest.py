"""Settings of every property test: no deadline, because a busy machine is not a bug."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("promptward", deadline=None)
settings.load_profile("promptward")
