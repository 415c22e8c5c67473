"""Personal data and secrets: found by recognizers, replaced by operators.

Settings, then the check. What is pseudonymized in a request is given back in the reply by the
`restore` check. What an external classifier finds joins what the patterns find: one redaction,
one law of overlaps. OWASP LLM02, API3; MITRE ATLAS AML.T0057.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from promptward.checks.classifier import ClassifierSettings, Outcome, TextClassifier
from promptward.checks.content import (
    Conversation,
    Denial,
    FailureMode,
    Inspection,
    Mode,
    Phase,
    ReadSources,
    make_finding,
)
from promptward.checks.entities import EDITING, EntitySettings
from promptward.checks.memory import Recall
from promptward.checks.recognized import (
    Block,
    EntityBlocked,
    RecognizedFilter,
    redact_part,
)
from promptward.errors import ExchangeError, PolicyError
from promptward.exchange import Source
from promptward.findings import Effect, Finding, Span
from promptward.llm import Part
from promptward.operators import Hash, Mask, Operator, Pseudonymize, Redact
from promptward.ports import Classifier
from promptward.protocols.base import Channel
from promptward.recognizers import (
    CATALOGUE,
    GROUPS,
    Match,
    Recognizer,
    RecognizerSet,
    ValidatorName,
    user_faults,
)
from promptward.recognizers import user_recognizer as compile_recognizer
from promptward.settings import Kind, setting
from promptward.spelling import did_you_mean
from promptward.stream.channels import ChannelFilter
from promptward.stream.redactor import replace_matches

_CATEGORY = "sensitive_data"
_TAXONOMY = ("LLM02", "AML.T0057")
_REMEMBERED_MATCHES = 64  # of one text: about 8 KB
_DENIAL = Denial("sensitive_data", "The text holds data that may not pass.")


@dataclass(frozen=True, slots=True)
class RecognizerSettings:
    """A recognizer of your own."""

    id: str = setting("Name in findings.", kind=Kind.IDENTIFIER)
    entity: str = setting("Entity it reports.", kind=Kind.IDENTIFIER)
    pattern: str = setting(
        "Regular expression in RE2 syntax with bounded repeats.", min_length=1, max_length=2048
    )
    validator: ValidatorName | None = setting(
        "Checksum to verify, or that a match looks random.", default=None
    )
    context: tuple[str, ...] = setting(
        "Words; when given, a match counts only with one of them to its left.",
        default=(),
        max_length=32,
    )
    score: float = setting("Score of a match that counts.", ge=0, le=1, default=0.6)

    def problems(self) -> Iterable[tuple[str, str]]:
        return user_faults(
            self.id, self.entity, self.pattern, self.validator, self.context, self.score
        )


_DEFAULT_ENTITIES = (EntitySettings("PII"), EntitySettings("SECRET"))


@dataclass(frozen=True, slots=True)
class PiiSettings:
    """Finds personal data and secrets, and redacts, masks, hashes or pseudonymizes them."""

    id: str = setting("Name of the check in findings.", kind=Kind.IDENTIFIER)
    type: Literal["pii"] = setting("Kind of check.")
    mode: Mode = setting("enforce, shadow (report only) or off.", default=Mode.ENFORCE)
    phase: tuple[Phase, ...] = setting(
        "Phases.",
        default=(Phase.REQUEST, Phase.RESPONSE),
        min_length=1,
        max_length=2,
        one_or_many=True,
    )
    sources: tuple[Source, ...] = setting(
        "Sources of text to read; all by default.", default=tuple(Source), min_length=1
    )
    entities: tuple[EntitySettings, ...] = setting(
        "Entities to look for; of two entries for one entity the first counts.",
        default=_DEFAULT_ENTITIES,
        max_length=256,
    )
    recognizers: tuple[RecognizerSettings, ...] = setting(
        "Recognizers of your own.", default=(), max_length=64
    )
    classifier: ClassifierSettings | None = setting(
        "External model for names, places and the like; none by default.", default=None
    )
    hash_key: str | None = setting(
        "Key of the hash action, 16 characters or more.", kind=Kind.SECRET, default=None
    )
    restore: bool = setting("Give pseudonymized values back in the reply.", default=True)
    failure_mode: FailureMode = setting(
        "When the classifier does not answer: closed refuses, open goes on with the patterns and"
        " says so in findings and coverage.",
        default=FailureMode.CLOSED,
    )

    @property
    def all_entities(self) -> tuple[EntitySettings, ...]:
        """Those of the patterns, then those of the classifier."""
        return self.entities + (self.classifier.entities if self.classifier else ())

    @property
    def edits(self) -> bool:
        """Whether any action changes text."""
        return any(e.action in EDITING for e in self.all_entities)

    @property
    def pseudonymizes(self) -> bool:
        return any(e.action == "pseudonymize" for e in self.all_entities)

    def problems(self) -> Iterable[tuple[str, str]]:
        own = {r.entity for r in self.recognizers}
        if not self.all_entities:
            yield "entities", "at least one is needed, here or under classifier"
        for index, entity in enumerate(self.entities):
            if (
                entity.type not in CATALOGUE
                and entity.type not in GROUPS
                and entity.type not in own
            ):
                known = sorted({*GROUPS, *CATALOGUE, *own})
                hint = did_you_mean(entity.type, known) or _NEEDS_A_MODEL
                message = f"unknown entity{hint}; expected one of {', '.join(known)}"
                yield f"entities[{index}].type", message
        if any(e.action == "hash" for e in self.all_entities) and (
            len((self.hash_key or "").encode()) < 16
        ):
            yield "hash_key", "required by the hash action: 16 characters or more"
        if self.classifier is not None:
            yield from self._problems_of_classifier(self.classifier)

    def _problems_of_classifier(self, classifier: ClassifierSettings) -> Iterable[tuple[str, str]]:
        named = {e.type for e in self.entities}
        for index, entity in enumerate(classifier.entities):
            if entity.type in named:
                message = f"{entity.type!r} is under entities too; one entity has one action"
                yield f"classifier.entities[{index}].type", message
        if not set(classifier.phase) <= set(self.phase):
            yield "classifier.phase", "names a phase that the check does not have"


_NEEDS_A_MODEL = "; names and places need a model and stand under classifier.entities"
_NOT_ASKED = Outcome(())


class PiiCheck:
    """See the module docstring."""

    needs_system_text = False

    def __init__(self, settings: PiiSettings, window_chars: int) -> None:
        self.id = settings.id
        self.phases = frozenset(settings.phase)
        self.failure_mode = settings.failure_mode
        self._shadow = settings.mode is Mode.SHADOW
        self._sources = ReadSources(settings.sources)
        self._classifier = _classifier(settings)
        self._entities = dict(_by_entity(settings.all_entities))
        self._recognizers = RecognizerSet(
            tuple(_recognizers(settings, self._entities)),
            min_scores={name: e.min_score for name, e in self._entities.items()},
        )
        self._window_chars = window_chars
        self._effects = {name: self._effect(name) for name in self._entities}
        self._static = dict(_static_operators(settings, self._entities))
        self._pseudonymized = frozenset(
            name for name, e in self._entities.items() if e.action == "pseudonymize"
        )

    def wanted(self, conversation: Conversation) -> bool:
        del conversation
        return True

    async def inspect(
        self, phase: Phase, parts: Sequence[Part], conversation: Conversation
    ) -> Inspection:
        read, skipped = self._sources.select(parts)
        asked = await self._ask(phase, read, conversation)
        if asked.denial is not None:
            unread = {p.pointer: asked.unread for p in read}
            return Inspection(asked.findings, skipped=skipped | unread, denial=asked.denial)
        operators = self._operators(phase, conversation)
        findings = list(asked.findings)
        edits: dict[str, str] = {}
        denial: Denial | None = None
        for index, part in enumerate(read):
            known = asked.known[index] if asked.known else ()
            try:
                text, matches = self._redacted(part, operators, known, conversation.recall)
            except EntityBlocked as blocked:
                findings.append(self.blocked_finding(blocked.entity))
                denial = _DENIAL
                continue
            if matches:
                if text != part.text:
                    edits[part.pointer] = text
                findings += [self.finding(m, part.pointer) for m in matches]
        incomplete = {p.pointer: asked.unread for p in read} if asked.unread else {}
        return Inspection(tuple(findings), edits, skipped, denial, incomplete)

    def _redacted(
        self,
        part: Part,
        operators: Mapping[str, Operator],
        known: Sequence[Match],
        recall: Recall,
    ) -> tuple[str, Sequence[Match]]:
        """The new text of a part and its matches, those of a text seen before from memory."""
        if known or part.json_escaped:
            return redact_part(part, self._recognizers, operators, known)
        find = partial(self._recognizers.find, part.text)
        matches = recall.result(f"{self.id}|patterns", part.text, find, _is_small)
        return replace_matches(part.text, matches, operators), matches

    async def _ask(
        self, phase: Phase, parts: Sequence[Part], conversation: Conversation
    ) -> Outcome:
        if self._classifier is None:
            return _NOT_ASKED
        port, recall = conversation.classifier, conversation.recall
        return await self._classifier.ask(phase, parts, port, recall)

    def open_channel(self, channel: Channel, conversation: Conversation) -> ChannelFilter | None:
        if channel.source not in self._sources:
            return None
        known: Sequence[Match] = ()
        if self.reads_ahead:
            ahead = conversation.ahead.get(self.id)
            if ahead is None:
                raise ExchangeError("stream_not_buffered", "the stream has to be read whole", 502)
            if (listener := ahead.listen(channel)) is not None:
                return listener
            known = ahead.next_known()
        operators = self._operators(Phase.RESPONSE, conversation)
        return RecognizedFilter(
            self, channel, self._recognizers, operators, self._window_chars, known
        )

    @property
    def reads_ahead(self) -> bool:
        """Whether a stream has to be read before it can be filtered: for the classifier."""
        return self._classifier is not None and Phase.RESPONSE in self._classifier.phases

    async def read_ahead(self, conversation: Conversation) -> Outcome:
        """Ask the classifier about a stream that has been read once."""
        ahead = conversation.ahead[self.id]
        asked = await self._ask(Phase.RESPONSE, ahead.parts, conversation)
        ahead.learn(asked.known)
        return asked

    def _operators(self, phase: Phase, conversation: Conversation) -> Mapping[str, Operator]:
        if self._shadow or not self._pseudonymized:
            return self._static
        # a pseudonym made in a response could never be given back: redact there
        reversible: Operator = Redact()
        if phase is Phase.REQUEST:
            reversible = Pseudonymize(conversation.nonce, conversation.vault)
        return self._static | dict.fromkeys(self._pseudonymized, reversible)

    def blocked_finding(self, entity: str) -> Finding:
        """The finding for an entity whose action is block.

        Its place is not known: a match that blocks is never written, so it is never located.
        """
        return make_finding(self.id, entity, _CATEGORY, 1.0, Effect.BLOCK, None, _TAXONOMY)

    async def find(self, text: str, classifier: Classifier | None) -> tuple[list[Match], str]:
        """The matches in one text, and why the classifier did not read it; empty when it did."""
        if self._classifier is None:
            return self._recognizers.find(text), ""
        phase = min(self._classifier.phases)  # either one: a text by itself has none
        asked = await self._classifier.ask(phase, [Part("", Source.USER, text)], classifier)
        return self._recognizers.find(text, asked.known[0]), asked.unread

    def finding(self, match: Match, pointer: str) -> Finding:
        """The finding for a match in the text at `pointer`."""
        span = Span(pointer, match.start, match.end)
        effect = self._effects[match.entity]
        rule = f"{match.entity}/{match.recognizer}"
        return make_finding(self.id, rule, _CATEGORY, match.score, effect, span, _TAXONOMY)

    def _effect(self, entity: str) -> Effect:
        action = self._entities[entity].action
        if action == "flag":
            return Effect.FLAG
        if self._shadow:
            return Effect.SHADOW
        return Effect.BLOCK if action == "block" else Effect.REDACT


def _is_small(matches: Sequence[Match]) -> bool:
    return len(matches) <= _REMEMBERED_MATCHES


def _classifier(settings: PiiSettings) -> TextClassifier | None:
    if settings.classifier is None:
        return None
    shadow = settings.mode is Mode.SHADOW
    return TextClassifier(settings.classifier, settings.id, settings.failure_mode, shadow=shadow)


def _by_entity(entities: Sequence[EntitySettings]) -> Iterator[tuple[str, EntitySettings]]:
    """Entity -> its settings; groups spread out, the first entry of an entity counts."""
    seen = set()
    explicit = {e.type for e in entities}
    for item in entities:
        for name in GROUPS.get(item.type, (item.type,)):
            # a group never overrides an entity that is named itself, wherever that stands
            if name not in seen and (name == item.type or name not in explicit):
                seen.add(name)
                yield name, item


def _recognizers(
    settings: PiiSettings, entities: Mapping[str, EntitySettings]
) -> Iterator[Recognizer]:
    for name in sorted(dict(_by_entity(settings.entities))):
        yield from CATALOGUE.get(name, ())
    problems = []
    for index, own in enumerate(settings.recognizers):
        if own.entity not in entities:
            problems.append(f"recognizers[{index}].entity: not listed under entities")
            continue
        yield compile_recognizer(
            own.id,
            own.entity,
            own.pattern,
            validator=own.validator,
            context=own.context,
            score=own.score,
        )
    if problems:
        raise PolicyError(problems)


def _static_operators(
    settings: PiiSettings, entities: Mapping[str, EntitySettings]
) -> Iterator[tuple[str, Operator]]:
    if settings.mode is Mode.SHADOW:
        return
    for name, item in entities.items():
        match item.action:
            case "redact":
                yield name, Redact()
            case "mask":
                yield name, Mask(item.keep_last)
            case "hash":
                yield name, Hash((settings.hash_key or "").encode())
            case "block":
                yield name, Block(_DENIAL)
