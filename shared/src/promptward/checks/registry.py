"""The registry of content checks: adding a check is one import and one line in each table."""

from __future__ import annotations

from promptward.checks.content import ContentCheck, Mode
from promptward.checks.output import OutputCheck, OutputSettings
from promptward.checks.pii import PiiCheck, PiiSettings
from promptward.checks.prompt_injection import PromptInjectionCheck, PromptInjectionSettings

CheckSettings = PromptInjectionSettings | PiiSettings | OutputSettings


def build_check(settings: CheckSettings, window_chars: int) -> ContentCheck | None:
    """The compiled check, or None when its mode is off.

    Args:
        window_chars: most characters a check may hold back of a stream channel.

    Raises:
        PolicyError: the settings cannot be compiled.
    """
    if settings.mode is Mode.OFF:
        return None
    match settings:
        case PromptInjectionSettings():
            return PromptInjectionCheck(settings)
        case OutputSettings():
            return OutputCheck(settings, window_chars)
        case PiiSettings():
            return PiiCheck(settings, window_chars)
