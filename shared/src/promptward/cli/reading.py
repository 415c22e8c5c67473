"""Read policies and other input files for the commands, with errors people can act on."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from promptward.errors import PolicyError
from promptward.policy import CompiledPolicy, load_policy


class UnreadableError(Exception):
    """The input is not what the command takes; exit 2."""


def read_text(path: str) -> str:
    """The text of a file, or of standard input for `-`.

    Raises:
        UnreadableError: it is not UTF-8.
        OSError: it cannot be opened.
    """
    try:
        if path != "-":
            return Path(path).read_text(encoding="utf-8")
        text = sys.stdin.read()
        text.encode()  # in some locales Python reads what is not UTF-8 as lone surrogates
    except UnicodeError as error:
        start = f" (byte {error.start})" if isinstance(error, UnicodeDecodeError) else ""
        raise UnreadableError(f"{path}: not UTF-8{start}") from None
    return text


def environment_secret(name: str) -> str | None:
    """The value of `${NAME}` in a policy: an environment variable."""
    return os.environ.get(name)


def read_policy(path: str) -> CompiledPolicy:
    """Load a policy file for a command that needs a valid one.

    Raises:
        UnreadableError: the file is unreadable or the policy invalid.
    """
    try:
        return load_policy(read_text(path), environment_secret)
    except PolicyError as error:
        lines = "\n".join(f"  {p}" for p in error.problems)
        raise UnreadableError(f"{path}: the policy is invalid\n{lines}") from None
