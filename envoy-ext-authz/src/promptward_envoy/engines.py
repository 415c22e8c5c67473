"""How the services find the engine that decides: by policy name, always the current one."""

from __future__ import annotations

from typing import Protocol

from promptward.engine import EngineApi


class UnknownPolicyError(Exception):
    """A route names a policy that is not loaded; the request must fail closed."""


class EngineSource(Protocol):
    """The engines in force. A reload swaps them; who holds one keeps it."""

    def engine_for(self, policy: str) -> EngineApi:
        """The engine of `policy`; the default one for an empty name.

        Raises:
            UnknownPolicyError: no policy of that name is loaded.
        """
        ...


class FixedEngine:
    """One engine under the default name; for embedding and tests."""

    def __init__(self, engine: EngineApi) -> None:
        self._engine = engine

    def engine_for(self, policy: str) -> EngineApi:
        """The one engine, for the empty name only."""
        if policy:
            raise UnknownPolicyError(policy)
        return self._engine
