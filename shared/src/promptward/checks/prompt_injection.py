"""Prompt injection: scores every piece of text by where it came from.

Settings, then the check. Detection itself (normalisation, rules, model) is `promptward.injection`.
Responses are not read: an injection is an input. OWASP LLM01, MITRE ATLAS AML.T0051.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

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
from promptward.checks.memory import Recall
from promptward.exchange import Source
from promptward.findings import Effect, Finding, Span
from promptward.injection import (
    DEFAULT_THRESHOLDS,
    RULES,
    InjectionDetector,
    InjectionResult,
    Threshold,
    folded_scores,
)
from promptward.llm import Part
from promptward.protocols.base import Channel
from promptward.settings import Kind, setting
from promptward.spelling import did_you_mean
from promptward.stream.channels import ChannelFilter

_CATEGORY = "prompt_injection"
_TAXONOMY = ("LLM01", "AML.T0051")


@dataclass(frozen=True, slots=True)
class ThresholdSettings:
    """Scores from which text is flagged and blocked."""

    flag: float = setting("Score from which text is reported.", ge=0, le=1)
    block: float = setting("Score from which the exchange is refused.", ge=0, le=1)

    def problems(self) -> Iterable[tuple[str, str]]:
        if self.flag > self.block:
            yield "flag", f"must not be above block ({self.block:g})"


@dataclass(frozen=True, slots=True)
class PromptInjectionSettings:
    """Detects attempts to override the instructions of a model."""

    id: str = setting("Name of the check in findings.", kind=Kind.IDENTIFIER)
    type: Literal["prompt_injection"] = setting("Kind of check.")
    mode: Mode = setting("enforce, shadow (report only) or off.", default=Mode.ENFORCE)
    phase: tuple[Literal["request"], ...] = setting(
        "Phases.", default=("request",), min_length=1, max_length=1, one_or_many=True
    )
    sources: tuple[Source, ...] = setting(
        "Sources of text to read; all by default.", default=tuple(Source), min_length=1
    )
    threshold: ThresholdSettings | None = setting(
        "One threshold for all sources instead of the calibrated ones.", default=None
    )
    source_thresholds: Mapping[str, ThresholdSettings] = setting(
        "Thresholds for single sources.", default_factory=dict
    )
    detectors: tuple[Literal["heuristic", "classifier"], ...] = setting(
        "Which detectors score.", default=("heuristic", "classifier"), min_length=1
    )
    allowlist: tuple[str, ...] = setting(
        "Rule ids to leave out, or literal phrases that are not scored; a phrase that looks like a"
        " rule id (`persona.com`) needs a capital letter, which changes nothing else.",
        default=(),
        max_length=256,
    )
    action: Literal["block", "flag"] = setting(
        "What to do from the block threshold on.", default="block"
    )
    failure_mode: FailureMode = setting(
        "What to do when the check cannot run.", default=FailureMode.CLOSED
    )

    def problems(self) -> Iterable[tuple[str, str]]:
        known = {str(s) for s in Source}
        for name in self.source_thresholds:
            if name not in known:
                yield f"source_thresholds.{name}", f"expected one of {', '.join(sorted(known))}"
        for index, entry in enumerate(self.allowlist):
            if _is_misspelt_rule(entry):
                hint = did_you_mean(entry, _RULE_IDS)
                message = f"no such rule{hint} (a phrase of this form needs a capital letter)"
                yield f"allowlist[{index}]", message


_RULE_IDS = frozenset(rule.id for rule in RULES)  # FAMILY.NAME
_FAMILIES = frozenset(id_.partition(".")[0] for id_ in _RULE_IDS)
_NAMES = frozenset(name for id_ in _RULE_IDS if "_" in (name := id_.partition(".")[2]))
_LIKE_A_RULE_ID = re.compile(r"([a-z_]+)\.([a-z0-9_*-]+)")


def _is_misspelt_rule(entry: str) -> bool:
    """Whether an entry of an allow-list can only be meant as a rule id, and is none.

    A phrase may be any text, `example.com` and `config.system_prompt` too. So this is what begins
    with a rule's family, or with nearly that and goes on as a rule does.
    """
    like = _LIKE_A_RULE_ID.fullmatch(entry)
    if like is None or entry in _RULE_IDS:
        return False
    family, name = like.groups()
    return family in _FAMILIES or (name in _NAMES and bool(did_you_mean(family, _FAMILIES)))


class PromptInjectionCheck:
    """See the module docstring."""

    needs_system_text = False

    def __init__(self, settings: PromptInjectionSettings) -> None:
        self.id = settings.id
        self.phases = frozenset({Phase.REQUEST})
        self.failure_mode = settings.failure_mode
        self._sources = ReadSources(settings.sources)
        self._analyses = {source: f"{self.id}|{source}" for source in Source}
        self._detector = InjectionDetector(
            detectors=frozenset(settings.detectors), allowlist=settings.allowlist
        )
        self._thresholds = thresholds_of(settings)
        self._block_effect = _block_effect(settings)

    def wanted(self, conversation: Conversation) -> bool:
        del conversation
        return False

    async def inspect(
        self, phase: Phase, parts: Sequence[Part], conversation: Conversation
    ) -> Inspection:
        del phase
        read, skipped = self._sources.select(parts)
        recall = conversation.recall
        results = folded_scores([(p.source, self._result(p, recall)) for p in read])
        findings: list[Finding] = []
        blocked = False
        for part, result in zip(read, results, strict=True):
            effect = self._effect(part.source, result.score)
            if effect is not None:
                findings.extend(self._findings(part, result, effect))
                blocked = blocked or effect is Effect.BLOCK
        denial = Denial("prompt_injection", _MESSAGE) if blocked else None
        return Inspection(tuple(findings), {}, skipped, denial)

    def _result(self, part: Part, recall: Recall) -> InjectionResult:
        """The verdict on one part by itself, from memory when the caller sent it before."""
        analysis = self._analyses[part.source]
        analyse = partial(self._detector.analyze, part.text, part.source)
        return recall.result(analysis, part.text, analyse)

    def open_channel(self, channel: Channel, conversation: Conversation) -> ChannelFilter | None:
        del channel, conversation
        return None

    def judge(self, text: str, source: Source) -> tuple[float, str, list[str]]:
        """Score one text by itself: score, `block`, `flag` or `allow`, and the rules that fired."""
        result = self._detector.analyze(text, source)
        effect = self._effect(source, result.score)
        rules = list(dict.fromkeys(h.rule for h in result.hits))
        return result.score, effect.value if effect else "allow", rules

    def _effect(self, source: Source, score: float) -> Effect | None:
        threshold = self._thresholds[source]
        if score >= threshold.block:
            return self._block_effect
        return Effect.FLAG if score >= threshold.flag else None

    def _findings(self, part: Part, result: InjectionResult, effect: Effect) -> Iterable[Finding]:
        if not result.hits:
            yield make_finding(
                self.id, "classifier", _CATEGORY, result.score, effect, None, _TAXONOMY
            )
        for hit in result.hits[:_MAX_FINDINGS_PER_PART]:
            span = Span(part.pointer, hit.start, hit.end)
            yield make_finding(
                self.id, hit.rule, hit.category, result.score, effect, span, hit.taxonomy
            )


_MESSAGE = "The request was refused: it reads as an attempt to override a model's instructions."
_MAX_FINDINGS_PER_PART = 16  # audit events stay small; the score says the rest


def thresholds_of(settings: PromptInjectionSettings) -> dict[Source, Threshold]:
    """The threshold of every source: its own, else the general one, else the calibrated one."""
    out = {}
    for source in Source:
        given = settings.source_thresholds.get(str(source)) or settings.threshold
        out[source] = Threshold(given.flag, given.block) if given else DEFAULT_THRESHOLDS[source]
    return out


def _block_effect(settings: PromptInjectionSettings) -> Effect:
    if settings.action == "flag":
        return Effect.FLAG
    return Effect.SHADOW if settings.mode is Mode.SHADOW else Effect.BLOCK
