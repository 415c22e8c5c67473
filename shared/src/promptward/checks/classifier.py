"""Asking an external classifier about texts: names, places, whatever patterns cannot find.

Not a check: the `pii` check asks, and what comes back is redacted with what its patterns found.

Invariants: all texts of a body go in one call, bounded in number and characters; an answer that
does not fit the texts counts as no answer; texts without a letter are not sent, nor those that the
same caller sent before and whose answer is remembered (without the text: see `memory`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, cast, runtime_checkable
from urllib.parse import urlsplit

from promptward.auth.jwt_issuer import is_key_address
from promptward.checks.content import (
    UNAVAILABLE,
    Conversation,
    Denial,
    FailureMode,
    Phase,
    make_finding,
)
from promptward.checks.entities import EntitySettings
from promptward.checks.memory import NO_RECALL, Recall
from promptward.errors import PortError
from promptward.findings import Effect, Finding
from promptward.llm import Part
from promptward.ports import Classifier, ClassifierQuery, ClassifierSpan
from promptward.recognizers import GROUPS, Match
from promptward.settings import Kind, setting
from promptward.stream.json_escaped import unescaped_texts

RECOGNIZER = "classifier"  # in findings, where a pattern has its recognizer's id
MAX_TEXTS = 500  # Presidio's own batch size (DEFAULT_BATCH_SIZE of its REST server)

_PORT = "classifier"
_MOST_REMEMBERED = 64  # matches of one text; what has more would let a caller fill the memory
_TOO_LONG = {
    phase: Denial("text_too_long", "The text is longer than what can be inspected.", status)
    for phase, status in ((Phase.REQUEST, 413), (Phase.RESPONSE, 502))
}
_LETTER = re.compile(r"[^\W\d_]")
# No text has them as UTF-8; a JSON escape can smuggle one in. Replaced one for one: offsets stay.
_SURROGATE = re.compile("[\ud800-\udfff]")
_ENTITY = re.compile(r"[A-Z][A-Z0-9_]*", re.ASCII)  # also keeps pseudonyms well-formed


@dataclass(frozen=True, slots=True)
class ClassifierSettings:
    """An external model for what patterns cannot find: names, places, organisations."""

    entities: tuple[EntitySettings, ...] = setting(
        "Entities to ask for, by Presidio's names, and what happens to them; no groups.",
        min_length=1,
        max_length=64,
    )
    provider: Literal["presidio", "presidio_library"] = setting(
        "presidio: the REST analyzer of Microsoft Presidio; presidio_library: the same code inside"
        " this process (`promptward[presidio]`).",
        default="presidio",
    )
    url: str | None = setting(
        "Base address of the REST analyzer, without /analyze. Texts are sent there.",
        kind=Kind.URL,
        default=None,
        max_length=2048,
    )
    authorization: str | None = setting(
        "Value of the Authorization header, for a proxy in front of the analyzer.",
        kind=Kind.SECRET,
        default=None,
        max_length=8192,
    )
    model: str = setting(
        "spaCy pipeline of presidio_library: an installed package or a directory.",
        default="en_core_web_lg",
        min_length=1,
        max_length=512,
    )
    language: str = setting(
        "Language of the texts, ISO 639-1.", default="en", min_length=2, max_length=8
    )
    phase: tuple[Phase, ...] = setting(
        "Phases, of those of the check; response needs whole answers (streaming.mode: buffer).",
        default=(Phase.REQUEST,),
        min_length=1,
        max_length=2,
        one_or_many=True,
    )
    timeout_ms: int = setting(
        "Longest wait for one answer, in milliseconds.", ge=10, le=10_000, default=2000
    )
    max_chars: int = setting(
        "Most characters of one body that are sent; a longer one counts as not read.",
        ge=1,
        le=1_000_000,
        default=30_000,
    )

    @property
    def query(self) -> ClassifierQuery:
        """What is asked."""
        remote = self.provider == "presidio"
        return ClassifierQuery(
            url=(self.url or "").rstrip("/") if remote else "",
            model="" if remote else self.model,
            authorization=self.authorization,
            language=self.language,
            entities=tuple(sorted({e.type for e in self.entities})),
            min_score=min(e.min_score for e in self.entities),
            timeout_s=self.timeout_ms / 1000,
        )

    def problems(self) -> Iterable[tuple[str, str]]:
        if self.provider == "presidio":
            yield from _problems_of_address(self.url, self.authorization)
        elif self.url is not None or self.authorization is not None:
            yield "provider", "presidio_library sends nothing: it takes no url and no authorization"
        for index, entity in enumerate(self.entities):
            if any(entity.type == other.type for other in self.entities[:index]):
                yield f"entities[{index}].type", f"{entity.type!r} is named twice"
            if entity.type in GROUPS or not _ENTITY.fullmatch(entity.type):
                message = "expected an entity of the model, such as PERSON (A-Z, 0-9, _; no group)"
                yield f"entities[{index}].type", message


def _problems_of_address(url: str | None, authorization: str | None) -> Iterable[tuple[str, str]]:
    if url is None:
        yield "url", "required by presidio"
        return
    try:
        parts = urlsplit(url)
        plain = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        plain = False
    if not plain or parts.username is not None or parts.query or parts.fragment:
        yield "url", "expected http(s)://host[:port][/path] without user, query or fragment"
    elif authorization is not None and not is_key_address(url):
        yield "authorization", "is only sent over https, or to this very machine"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of asking.

    Attributes:
        known: matches per part, in the part's order, by offset in its (unescaped) text.
        unread: why the texts were not read, snake_case; empty when they were.
        findings: says the same in the audit.
        denial: set when the exchange must not go on without.
    """

    known: Sequence[Sequence[Match]]
    unread: str = ""
    findings: tuple[Finding, ...] = ()
    denial: Denial | None = None


@runtime_checkable
class ReadsAhead(Protocol):
    """A content check that has to know the texts of a stream before it can filter them."""

    @property
    def id(self) -> str: ...

    @property
    def reads_ahead(self) -> bool:
        """Whether it does so under its settings."""
        ...

    async def read_ahead(self, conversation: Conversation) -> Outcome:
        """Ask about what `conversation.ahead` heard for this check."""
        ...


class TextClassifier:
    """Asks about parts on behalf of one check.

    Args:
        settings: see ClassifierSettings.
        check: id of the check.
        failure_mode: of the check; closed refuses texts that could not be read.
        shadow: whether the check only reports.
    """

    def __init__(
        self, settings: ClassifierSettings, check: str, failure_mode: FailureMode, *, shadow: bool
    ) -> None:
        self.phases = frozenset(settings.phase)
        self._check = check
        self._analysis = f"{check}|{RECOGNIZER}"
        self._effect = Effect.BLOCK if failure_mode is FailureMode.CLOSED else Effect.FLAG
        if shadow and self._effect is Effect.BLOCK:
            self._effect = Effect.SHADOW
        self._query = settings.query
        self._max_chars = settings.max_chars
        self._minimum = {e.type: e.min_score for e in settings.entities}

    async def ask(
        self,
        phase: Phase,
        parts: Sequence[Part],
        port: Classifier | None,
        recall: Recall = NO_RECALL,
    ) -> Outcome:
        """What the classifier finds in the texts of `parts`. Never raises `PortError`.

        Args:
            phase: nothing is asked in one that the settings do not name.
            recall: what it found in texts that this caller sent before.
        """
        if phase not in self.phases:
            return Outcome([()] * len(parts))
        texts = [_texts_of(part) for part in parts]
        known: dict[str, Sequence[Match]] = {}
        new: dict[str, None] = {}  # in order, each once
        for text in (text for one in texts for _, text in one):
            kept = recall.get(self._analysis, text)
            if kept is None:
                new[text] = None
            else:
                known[text] = cast("Sequence[Match]", kept)  # only this method keeps them
        if len(new) > MAX_TEXTS or sum(map(len, new)) > self._max_chars:
            return self._unread("classifier_limit", _TOO_LONG[phase], parts)
        try:
            found = await self._matches(port, list(new))
        except PortError:
            return self._unread("classifier_unavailable", UNAVAILABLE, parts)
        for text, matches in zip(new, found, strict=True):
            known[text] = matches
            if len(matches) <= _MOST_REMEMBERED:
                recall.keep(self._analysis, text, tuple(matches))
        return Outcome([[_moved(m, at) for at, text in one for m in known[text]] for one in texts])

    def _unread(self, reason: str, denial: Denial, parts: Sequence[Part]) -> Outcome:
        finding = make_finding(self._check, reason, "unavailable", 1.0, self._effect)
        refused = denial if self._effect is Effect.BLOCK else None
        return Outcome([()] * len(parts), reason, (finding,), refused)

    async def _matches(self, port: Classifier | None, texts: Sequence[str]) -> list[list[Match]]:
        if not texts:
            return []
        if port is None:
            raise PortError(_PORT, "not configured")
        answers = await port.classify(self._query, texts)
        if len(answers) != len(texts):
            raise PortError(_PORT, "the number of answers is not that of the texts")
        return [self._believed(text, spans) for text, spans in zip(texts, answers, strict=True)]

    def _believed(self, text: str, spans: Sequence[ClassifierSpan]) -> list[Match]:
        """The spans that were asked for, sorted.

        Raises:
            PortError: a span does not lie in the text, or its score is none.
        """
        kept = []
        for span in spans:
            if not (0 <= span.start < span.end <= len(text) and 0.0 <= span.score <= 1.0):
                raise PortError(_PORT, "a span does not fit its text")
            if span.score >= self._minimum.get(span.entity, 2.0):
                kept.append(Match(span.entity, span.start, span.end, span.score, RECOGNIZER))
        return sorted(kept, key=lambda m: (m.start, m.end))


def _texts_of(part: Part) -> list[tuple[int, str]]:
    """What is sent of a part, each with its offset in the unescaped text."""
    texts = unescaped_texts(part.text) if part.json_escaped else [(0, part.text)]
    return [(at, _SURROGATE.sub("\ufffd", text)) for at, text in texts if _LETTER.search(text)]


def _moved(match: Match, by: int) -> Match:
    start, end = match.start + by, match.end + by
    return Match(match.entity, start, end, match.score, match.recognizer)
