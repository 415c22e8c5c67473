"""Log faults of ours without their content.

Exception texts may quote what a client sent, so only the type and the place are logged.
"""

from __future__ import annotations

import logging
import traceback

_log = logging.getLogger("promptward.envoy")


def log_fault(where: str, error: BaseException) -> None:
    """One error line: where it surfaced, the exception's type, and the innermost frames."""
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    path = " < ".join(f"{f.filename.rsplit('/', 1)[-1]}:{f.lineno} {f.name}" for f in frames[::-1])
    _log.error("%s failed closed: %s at %s", where, type(error).__name__, path)
