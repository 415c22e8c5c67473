"""Output handling: what an answer must not carry: secrets, the system prompt, unsafe links, HTML.

Every detector is streaming-safe. OWASP LLM05, LLM07, LLM02; MITRE ATLAS AML.T0056, AML.T0077.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from promptward.auth.globs import GlobSet
from promptward.checks.content import (
    Conversation,
    Denial,
    FailureMode,
    Inspection,
    Mode,
    Phase,
    make_finding,
)
from promptward.checks.recognized import (
    Block,
    EntityBlocked,
    RecognizedFilter,
    redact_part,
)
from promptward.exchange import Source
from promptward.findings import Effect, Finding, Span
from promptward.llm import Part
from promptward.operators import Operator, Redact
from promptward.protocols.base import Channel
from promptward.recognizers import CATALOGUE, GROUPS, Literals, Match, Recognizer, RecognizerSet
from promptward.recognizers.unsafe_output import ACTIVE_HTML, HTML, UNSAFE_URL, unsafe_urls
from promptward.settings import Kind, setting
from promptward.stream.channels import ChannelFilter
from promptward.stream.json_escaped import JsonEscapedChannel
from promptward.stream.overlap import ENTITY as SYSTEM_PROMPT
from promptward.stream.overlap import KnownText, OverlapChannel

CANARY = "CANARY"
_DENIAL = Denial("unsafe_output", "The answer was refused: it carries what may not leave.")
_TAXONOMY: Mapping[str, tuple[str, ...]] = {
    SYSTEM_PROMPT: ("LLM07", "AML.T0056"),
    CANARY: ("LLM07", "AML.T0056"),
    UNSAFE_URL: ("LLM05", "AML.T0077"),
    ACTIVE_HTML: ("LLM05", "AML.T0067"),
}
_SECRET_TAXONOMY = ("LLM02", "AML.T0057")
# characters with a meaning in patterns (RE2 syntax); everything else is itself
_SPECIAL = frozenset("\\.+*?()|[]{}^$")


@dataclass(frozen=True, slots=True)
class OutputSettings:
    """Finds secrets, the system prompt, unsafe links and active HTML in answers."""

    id: str = setting("Name of the check in findings.", kind=Kind.IDENTIFIER)
    type: Literal["output"] = setting("Kind of check.")
    mode: Mode = setting("enforce, shadow (report only) or off.", default=Mode.ENFORCE)
    phase: tuple[Literal["response"], ...] = setting(
        "Phases.", default=("response",), min_length=1, max_length=1, one_or_many=True
    )
    detect: tuple[Literal["secret", "system_prompt_leak", "unsafe_url", "html"], ...] = setting(
        "What to look for.",
        default=("secret", "system_prompt_leak", "unsafe_url", "html"),
        min_length=1,
        max_length=4,
    )
    action: Literal["redact", "block", "flag"] = setting(
        "What happens to a match.", default="redact"
    )
    allowed_hosts: tuple[str, ...] = setting(
        "Host globs that answers may link to and show images from.", default=(), max_length=256
    )
    canaries: tuple[str, ...] = setting(
        "Texts that only your system prompt holds; one in an answer is a leak.",
        kind=Kind.SECRET,
        default=(),
        max_length=64,
    )
    failure_mode: FailureMode = setting(
        "What to do when the check cannot run.", default=FailureMode.CLOSED
    )

    def problems(self) -> Iterable[tuple[str, str]]:
        for index, canary in enumerate(self.canaries):
            if not 8 <= len(canary) <= 128:
                yield f"canaries[{index}]", "expected 8 to 128 characters"

    @property
    def edits(self) -> bool:
        """Whether any action changes text."""
        return self.action == "redact"


class OutputCheck:
    """See the module docstring."""

    def __init__(self, settings: OutputSettings, window_chars: int) -> None:
        self.id = settings.id
        self.phases = frozenset({Phase.RESPONSE})
        self.failure_mode = settings.failure_mode
        self.needs_system_text = "system_prompt_leak" in settings.detect
        self._window_chars = window_chars
        recognizers = tuple(_recognizers(settings))
        self._recognizers = RecognizerSet(recognizers)
        self._effect = _effect(settings)
        acting: dict[Effect, Operator] = {Effect.REDACT: Redact(), Effect.BLOCK: Block(_DENIAL)}
        operator = acting.get(self._effect)
        self._operators: Mapping[str, Operator] = (
            dict.fromkeys(self._recognizers.entities, operator) if operator else {}
        )

    def wanted(self, conversation: Conversation) -> bool:
        del conversation
        return True

    async def inspect(
        self, phase: Phase, parts: Sequence[Part], conversation: Conversation
    ) -> Inspection:
        del phase
        known = self._known(conversation)
        findings: list[Finding] = []
        edits: dict[str, str] = {}
        denial: Denial | None = None
        for part in parts:
            try:
                text, matches = redact_part(part, self._recognizers, self._operators)
            except EntityBlocked as blocked:
                findings.append(self.blocked_finding(blocked.entity))
                denial = _DENIAL
                continue
            findings += [self.finding(m, part.pointer) for m in matches]
            if known:
                overlap = self._overlap(known, part.json_escaped)
                text = overlap.feed(text) + overlap.close()
                findings += [self.finding(m, part.pointer) for m in overlap.matches]
                if overlap.matches and self._effect is Effect.BLOCK:
                    denial = _DENIAL
            if text != part.text:
                edits[part.pointer] = text
        return Inspection(tuple(findings), edits, {}, denial)

    def open_channel(self, channel: Channel, conversation: Conversation) -> ChannelFilter | None:
        if channel.source is Source.TOOL_DEFINITION:
            return None
        recognized = RecognizedFilter(
            self, channel, self._recognizers, self._operators, self._window_chars
        )
        known = self._known(conversation)
        if not known:
            return recognized
        return _OutputFilter(self, channel, recognized, self._overlap(known, channel.json_escaped))

    def finding(self, match: Match, pointer: str) -> Finding:
        """See `Reporter`."""
        span = Span(pointer, match.start, match.end)
        return self._finding(match.entity, f"{match.entity}/{match.recognizer}", match.score, span)

    def blocked_finding(self, entity: str) -> Finding:
        """See `Reporter`."""
        return self._finding(entity, entity, 1.0, None)

    @property
    def blocks(self) -> bool:
        """Whether a match ends the exchange."""
        return self._effect is Effect.BLOCK

    def _finding(self, entity: str, rule: str, score: float, span: Span | None) -> Finding:
        taxonomy = _TAXONOMY.get(entity, _SECRET_TAXONOMY)
        return make_finding(self.id, rule, "unsafe_output", score, self._effect, span, taxonomy)

    def _known(self, conversation: Conversation) -> KnownText | None:
        if not self.needs_system_text or not conversation.system_text:
            return None
        return conversation.index_system_text() or None

    def _overlap(self, known: KnownText, json_escaped: bool) -> _Overlap:
        replacement = f"<{SYSTEM_PROMPT}>" if self._effect is Effect.REDACT else None
        channel = OverlapChannel(known, replacement)
        return JsonEscapedChannel(channel) if json_escaped else channel


_Overlap = OverlapChannel | JsonEscapedChannel


class _OutputFilter:
    """Recognizers first, then the overlap with the system prompt."""

    def __init__(
        self, check: OutputCheck, channel: Channel, recognized: RecognizedFilter, overlap: _Overlap
    ) -> None:
        self._check = check
        self._pointer = channel.pointer
        self._recognized = recognized
        self._overlap = overlap

    def feed(self, text: str) -> str:
        return self._released(self._overlap.feed(self._recognized.feed(text)))

    def close(self) -> str:
        rest = self._overlap.feed(self._recognized.close())
        return self._released(rest + self._overlap.close())

    @property
    def findings(self) -> list[Finding]:
        leaks = [self._check.finding(m, self._pointer) for m in self._overlap.matches]
        return self._recognized.findings + leaks

    def _released(self, text: str) -> str:
        if self._overlap.matches and self._check.blocks:
            raise EntityBlocked(SYSTEM_PROMPT, _DENIAL)
        return text


def _recognizers(settings: OutputSettings) -> Iterator[Recognizer]:
    if "secret" in settings.detect:
        for entity in GROUPS["SECRET"]:
            yield from CATALOGUE[entity]
    if "unsafe_url" in settings.detect:
        yield from unsafe_urls(GlobSet(settings.allowed_hosts, lenient=True).matches)
    if "html" in settings.detect:
        yield from HTML
    for index, canary in enumerate(settings.canaries):
        yield Recognizer(
            id=f"canary_{index}",
            entity=CANARY,
            pattern="".join(f"\\{c}" if c in _SPECIAL else c for c in canary),
            score=1.0,
            anchor=Literals((canary,)),
            not_before="",
            not_after="",
        )


def _effect(settings: OutputSettings) -> Effect:
    if settings.action == "flag":
        return Effect.FLAG
    if settings.mode is Mode.SHADOW:
        return Effect.SHADOW
    return Effect.BLOCK if settings.action == "block" else Effect.REDACT
