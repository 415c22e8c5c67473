"""The `promptward` command: lint, check, scan and describe policies.

Exit codes: 0 clean, 1 findings (a policy that cannot be enforced, an exchange that is refused),
2 unreadable input or wrong usage.
"""

from __future__ import annotations

from promptward.cli.main import main

__all__ = ["main"]
