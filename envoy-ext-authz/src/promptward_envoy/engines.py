"""How the services find the engine that decides: by policy name, always the current one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from promptward.engine import EngineApi


class UnknownPolicyError(Exception):
    """A route names a policy that is not loaded; the request must fail closed."""


@dataclass(frozen=True, slots=True)
class PolicyInForce:
    """An engine, and how Envoy must be set up for it.

    Attributes:
        engine: decides.
        ext_authz_alone: whether ext_authz without ext_proc can enforce all of the policy.
    """

    engine: EngineApi
    ext_authz_alone: bool


class EngineSource(Protocol):
    """The policies in force. A reload swaps them; who holds one keeps it."""

    def policy(self, name: str) -> PolicyInForce:
        """The policy called `name`; the default one for an empty name.

        Raises:
            UnknownPolicyError: no policy of that name is loaded.
        """
        ...


class FixedEngine:
    """One engine under the default name; for embedding and tests."""

    def __init__(self, engine: EngineApi, *, ext_authz_alone: bool = True) -> None:
        self._policy = PolicyInForce(engine, ext_authz_alone)

    def policy(self, name: str) -> PolicyInForce:
        """The one policy, for the empty name only."""
        if name:
            raise UnknownPolicyError(name)
        return self._policy
