"""Policy files, refused before anything is built or started with what a Worker cannot enforce."""

from __future__ import annotations

from pathlib import Path

from promptward.errors import PolicyError
from promptward.policy import CompiledPolicy, lint, load_policy
from promptward_worker.capabilities import CLOUDFLARE


def read_policy(file: Path) -> tuple[str, CompiledPolicy]:
    """The text of a policy `file`, and the policy.

    Raises:
        OSError: the file cannot be read.
        PolicyError: it is no policy, or a Worker cannot enforce it.
    """
    text = file.read_text("utf-8")
    policy = load_policy(text)
    findings = lint(policy.model, CLOUDFLARE)
    if findings:
        raise PolicyError([str(finding) for finding in findings])
    return text, policy
