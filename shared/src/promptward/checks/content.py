"""What a content check is: a reader of parts that may block, edit or flag.

Invariants: a check sees every part and says of each whether it inspected it or why not; offsets
in findings are in the text the check was given (as edited by the checks before it); a check in
shadow mode reports what it would have done and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from promptward.checks.memory import NO_RECALL, Recall
from promptward.checks.read_ahead import ReadAhead
from promptward.exchange import Source
from promptward.findings import Effect, Finding, Severity, Span
from promptward.llm import Part
from promptward.operators import Placeholders
from promptward.ports import Classifier
from promptward.protocols.base import Channel
from promptward.stream.channels import ChannelFilter
from promptward.stream.overlap import KnownText
from promptward.values import value_object


class Phase(StrEnum):
    """Which side of the upstream a check works on."""

    REQUEST = "request"
    RESPONSE = "response"


class Mode(StrEnum):
    """Whether a rule acts, only reports, or does not run."""

    ENFORCE = "enforce"
    SHADOW = "shadow"
    OFF = "off"


class FailureMode(StrEnum):
    """What happens when a check cannot run."""

    CLOSED = "closed"
    OPEN = "open"


@dataclass(slots=True)
class Conversation:
    """What one exchange's checks share, from its request to its response.

    Attributes:
        nonce: random hexadecimal digits that make this exchange's pseudonyms unforgeable.
        vault: pseudonym -> original value; filled by the request, read by the response.
        system_text: system and developer text, for system-prompt-leak detection.
        classifier: the host's external detector; None when the policy names none.
        recall: what pure analyses said of texts that this caller sent before.
        ahead: by check id, what is known of a stream that is read a second time.
        known_text: `system_text` indexed, once a check has asked for it.
        placeholders: those of the vault, once a check has asked for them.
    """

    nonce: str
    vault: dict[str, str] = field(default_factory=dict)
    system_text: str = ""
    classifier: Classifier | None = None
    recall: Recall = NO_RECALL
    ahead: dict[str, ReadAhead] = field(default_factory=dict)
    known_text: KnownText | None = None
    placeholders: Placeholders | None = None

    def index_system_text(self) -> KnownText:
        """The index of the system text: made once, however many texts are held against it."""
        if self.known_text is None:
            self.known_text = KnownText(self.system_text)
        return self.known_text

    def list_placeholders(self) -> Placeholders:
        """The placeholders of the vault, which is complete: made once, as above."""
        if self.placeholders is None:
            self.placeholders = Placeholders(self.vault)
        return self.placeholders


@value_object(frozen=True, slots=True)
class Denial:
    """Why an exchange is refused; the engine turns it into the caller's protocol."""

    code: str
    message: str
    status: int = 400


UNAVAILABLE = Denial("check_unavailable", "A content check could not run; try again later.", 503)


@value_object(frozen=True, slots=True)
class Inspection:
    """What a check did with the parts it was given.

    Attributes:
        findings: everything it found, shadowed findings included.
        edits: pointer -> new text.
        skipped: pointer -> reason, for parts it did not read; every other part was inspected.
        denial: set to refuse the exchange.
        incomplete: pointer -> reason, for parts it read with less than the policy asks for.
    """

    findings: tuple[Finding, ...] = ()
    edits: Mapping[str, str] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)
    denial: Denial | None = None
    incomplete: Mapping[str, str] = field(default_factory=dict)


class ReadSources:
    """The sources of text that a check reads.

    Args:
        sources: they.
    """

    __slots__ = ("_every", "_sources")

    def __init__(self, sources: Iterable[Source]) -> None:
        self._sources = frozenset(sources)
        self._every = len(self._sources) == len(Source)

    def __contains__(self, source: Source) -> bool:
        return source in self._sources

    def select(self, parts: Sequence[Part]) -> tuple[Sequence[Part], dict[str, str]]:
        """Which parts are read, and why the others are not, by pointer."""
        if self._every:  # (members of an enumeration are slow to look up)
            return parts, {}
        read = [p for p in parts if p.source in self._sources]
        skipped = {p.pointer: "source_not_selected" for p in parts if p.source not in self._sources}
        return read, skipped


class ContentCheck(Protocol):
    """A check of text."""

    @property
    def id(self) -> str: ...

    @property
    def phases(self) -> frozenset[Phase]: ...

    @property
    def failure_mode(self) -> FailureMode: ...

    @property
    def needs_system_text(self) -> bool:
        """Whether its response side reads `Conversation.system_text`."""
        ...

    def wanted(self, conversation: Conversation) -> bool:
        """Whether this exchange's response has to be read for it."""
        ...

    async def inspect(
        self, phase: Phase, parts: Sequence[Part], conversation: Conversation
    ) -> Inspection:
        """Read parts. Only the phases in `phases` are asked for.

        Raises:
            PortError: a port the check depends on failed.
        """
        ...

    def open_channel(self, channel: Channel, conversation: Conversation) -> ChannelFilter | None:
        """A filter for a stream channel, or None when the check does not read it."""
        ...


# OCSF severity by score; the bounds split 0..1 evenly above the usual flag threshold of 0.5
_SEVERITY_BOUNDS = ((0.95, Severity.CRITICAL), (0.8, Severity.HIGH), (0.5, Severity.MEDIUM))


def severity_of(score: float) -> Severity:
    """Severity of a score in 0..1."""
    for bound, name in _SEVERITY_BOUNDS:
        if score >= bound:
            return name
    return Severity.LOW


def make_finding(
    check: str,
    rule: str,
    category: str,
    score: float,
    effect: Effect,
    span: Span | None = None,
    taxonomy: tuple[str, ...] = (),
) -> Finding:
    """A finding whose severity follows from its score."""
    return Finding(check, rule, category, severity_of(score), score, effect, span, taxonomy)
