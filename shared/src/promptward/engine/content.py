"""Run the content checks of one phase over the parts of one body.

Invariant: every part, readable or not, ends up in the coverage with what was done about it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from promptward.checks.content import (
    UNAVAILABLE,
    ContentCheck,
    Conversation,
    Denial,
    FailureMode,
    Mode,
    Phase,
    make_finding,
)
from promptward.errors import PortError
from promptward.findings import (
    Coverage,
    CoverageEntry,
    CoverageState,
    Effect,
    Finding,
    Span,
)
from promptward.llm import OpaquePart, Part


@dataclass(slots=True)
class ContentResult:
    """What the checks of a phase did together.

    Attributes:
        edits: pointer -> final text.
        findings: in the order they were made.
        coverage: one entry per part.
        denial: the first reason to refuse, or None.
    """

    edits: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    coverage: Coverage = ()
    denial: Denial | None = None


async def run_checks(
    checks: Sequence[ContentCheck],
    phase: Phase,
    parts: Sequence[Part],
    opaque: Sequence[OpaquePart],
    conversation: Conversation,
    on_uninspectable: str,
    mode: Mode,
) -> ContentResult:
    """Run `checks` in order; each sees the texts as the ones before it left them.

    Args:
        on_uninspectable: `block`, `flag` or `allow` for opaque parts.
        mode: the policy's mode; in shadow an opaque part only shadows.
    """
    result = ContentResult()
    readers: dict[str, list[str]] = {p.pointer: [] for p in parts}
    reasons: dict[str, str] = {}
    incomplete: dict[str, str] = {}
    for check in checks:
        if result.denial is not None:
            break
        try:
            done = await check.inspect(phase, parts, conversation)
        except PortError:
            _check_failed(check, result)
            reasons |= {p.pointer: "check_failed" for p in parts}
            continue
        result.findings += done.findings
        result.denial = done.denial
        reasons |= done.skipped
        incomplete |= done.incomplete
        for pointer, names in readers.items():
            if pointer not in done.skipped:
                names.append(check.id)
        if done.edits:
            result.edits |= done.edits
            parts = [_edited(p, done.edits) for p in parts]
    if checks and result.denial is None:
        _judge_opaque(opaque, on_uninspectable, mode, result)
    result.coverage = _coverage(phase, readers, reasons, opaque, bool(checks))
    if incomplete:
        result.coverage = tuple(_held_against(incomplete, entry) for entry in result.coverage)
    return result


def _edited(part: Part, edits: Mapping[str, str]) -> Part:
    text = edits.get(part.pointer)
    return part if text is None else Part(part.pointer, part.source, text, part.json_escaped)


def _check_failed(check: ContentCheck, result: ContentResult) -> None:
    closed = check.failure_mode is FailureMode.CLOSED
    effect = Effect.BLOCK if closed else Effect.FLAG
    result.findings.append(make_finding(check.id, "check_failed", "unavailable", 1.0, effect))
    if closed:
        result.denial = UNAVAILABLE


def _judge_opaque(
    opaque: Sequence[OpaquePart], on_uninspectable: str, mode: Mode, result: ContentResult
) -> None:
    if on_uninspectable == "allow":
        return
    effect = Effect.FLAG
    if on_uninspectable == "block":
        effect = Effect.SHADOW if mode is Mode.SHADOW else Effect.BLOCK
    for part in opaque:
        span = Span(part.pointer, 0, 0)
        result.findings.append(
            make_finding("parsing", part.reason, "uninspectable", 0.5, effect, span)
        )
    if opaque and effect is Effect.BLOCK:
        first = opaque[0]
        result.denial = Denial(
            "uninspectable_content",
            f"The content at {first.pointer or '/'} cannot be inspected ({first.reason}) and the"
            " policy does not let it through.",
        )


def _coverage(
    phase: Phase,
    readers: dict[str, list[str]],
    reasons: dict[str, str],
    opaque: Sequence[OpaquePart],
    any_check: bool,
) -> Coverage:
    entries = []
    name = phase._value_  # `value` is a property
    unread = "earlier_denial" if any_check else "no_check"
    for pointer, names in readers.items():
        if names:
            names.sort()
            entries.append(CoverageEntry(name, pointer, CoverageState.INSPECTED, "", tuple(names)))
        else:
            reason = reasons.get(pointer, unread)
            entries.append(CoverageEntry(name, pointer, CoverageState.SKIPPED, reason))
    state = CoverageState.UNINSPECTABLE if any_check else CoverageState.SKIPPED
    entries += [
        CoverageEntry(name, p.pointer, state, p.reason if any_check else "no_check") for p in opaque
    ]
    return tuple(entries)


def _held_against(incomplete: Mapping[str, str], entry: CoverageEntry) -> CoverageEntry:
    """A part read with less than the policy asks for is not called inspected."""
    reason = incomplete.get(entry.pointer)
    if reason is None or entry.state is not CoverageState.INSPECTED:
        return entry
    return replace(entry, state=CoverageState.SKIPPED, reason=reason)
