"""The policy that was deployed with the Worker, if there is one.

The build step puts it into the package `promptward_bundled_policy` (`promptward-worker build
--policy FILE`).
"""

from __future__ import annotations

from importlib import resources

PACKAGE = "promptward_bundled_policy"
FILE = "policy.yaml"


def policy_text() -> str | None:
    """Its text, or None when none was deployed."""
    try:
        return resources.files(PACKAGE).joinpath(FILE).read_text("utf-8")
    except ModuleNotFoundError:
        return None
