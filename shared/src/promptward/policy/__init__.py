"""The policy: its model, decoding, schema, lint and compilation."""

from __future__ import annotations

from promptward.policy.compile import CompiledPolicy
from promptward.policy.lint import lint
from promptward.policy.load import load_policy
from promptward.policy.model import Policy

__all__ = ["CompiledPolicy", "Policy", "lint", "load_policy"]
