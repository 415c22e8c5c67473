"""The error tree: whose fault an error is, and the stable code it carries.

    PromptwardError
    ├── PolicyError     the operator's: the policy cannot be loaded or enforced
    ├── ExchangeError   the client's: the exchange cannot be parsed or accepted (has a status hint)
    ├── PortError       a dependency's: a store, key server or sink failed or timed out
    └── SuspendedError  ours: a coroutine suspended where only blocking ports are allowed

Invariants: `code` strings are stable and are what callers match on, never the text; no error text
holds prompt text, tokens or personal data, because errors are logged.
"""

from __future__ import annotations


class PromptwardError(Exception):
    """Base of every error this project raises on purpose."""


class PolicyError(PromptwardError):
    """The policy is wrong; nothing may be served with it.

    Args:
        problems: one line per problem, each naming path, expectation and fix.
    """

    def __init__(self, problems: tuple[str, ...] | list[str] | str) -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class ExchangeError(PromptwardError):
    """The client's request (or the upstream's response) cannot be accepted.

    Args:
        code: stable snake_case identifier, for example `invalid_json`.
        message: what is wrong, where and what was expected; shown to the client.
        status: HTTP status hint, 400..599.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


class PortError(PromptwardError):
    """A dependency behind a port failed, timed out or answered nonsense.

    Args:
        port: the port's name, for example `ledger`.
        reason: short, free of personal data; logged, never shown to the client.
    """

    def __init__(self, port: str, reason: str) -> None:
        super().__init__(f"{port}: {reason}")
        self.port = port
        self.reason = reason


class SuspendedError(PromptwardError):
    """A port awaited something real under `run_sync`: a bug in the host's port."""
