"""How a failure is logged: where and what kind, never what it was about."""

from __future__ import annotations

from pathlib import PurePath

from promptward.errors import PromptwardError
from promptward.exchange import JSON


def failure_event(event: str, error: BaseException) -> dict[str, JSON]:
    """A log line for `error`: type and place, never its text, which may quote a prompt."""
    trace, place = error.__traceback__, ""
    while trace is not None:
        place = f"{PurePath(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    details = str(error) if isinstance(error, PromptwardError) else ""
    return {"event": event, "error": type(error).__name__, "at": place, "details": details}
