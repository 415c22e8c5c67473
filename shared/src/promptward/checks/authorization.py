"""Authorization: which models, routes and tools a caller's claims allow, and how much output.

Semantics, in order (deny overrides, as XACML 3.0 calls it):

1. A rule *applies* when its claim matchers hold and its routes and models match; a dimension that
   is left out matches everything.
2. A deny rule that applies, and whose tools (if it names any) match one offered tool, denies.
   Denials compare names leniently (ASCII case and surrounding whitespace do not matter), grants
   exactly, so that another spelling can lose a permission but never gain one.
3. Without an applicable allow rule the default decides (`deny` unless the policy says otherwise).
4. Every tool the request offers must match the tools of an applicable allow rule; `tools: []`
   allows none, tools left out allows all.
5. Output cap: for each offered tool the largest cap among the applicable allow rules that allow
   it, and of these the smallest; for a request without tools the largest among all applicable
   ones; no cap counts as largest. So one more allow rule never takes anything away. The cap bounds
   max_output_tokens times the number of choices: a request above it is denied, a request that
   names no maximum gets cap // choices written into it.

Invariants: everything but the matching is decided when the policy is loaded; a decision names the
rule it comes from.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from promptward.auth.claims import Matcher, compile_matcher, find, parse_path
from promptward.auth.globs import GlobSet, spellings
from promptward.decision import Principal
from promptward.exchange import JSON
from promptward.settings import Kind, setting
from promptward.values import value_object

# names that are shown back to the client: identifiers only, so that no text is echoed or logged
_SHOWABLE = re.compile(r"[A-Za-z0-9._:/@-]{1,64}", re.ASCII)

MAX_GLOBS = 256
# clients name few models, mostly the same ones; the bounds keep invented names from using memory
_REMEMBERED_MODELS = 256
_REMEMBERED_CHARACTERS = 128


@dataclass(frozen=True, slots=True)
class AuthorizationCondition:
    """When a rule applies."""

    claims: Mapping[str, JSON] = setting(
        "Claim path -> matcher; all must hold.", default_factory=dict, max_length=32
    )


@dataclass(frozen=True, slots=True)
class AuthorizationRule:
    """One permission or denial."""

    id: str = setting("Name of the rule in decisions and audit.", kind=Kind.IDENTIFIER)
    effect: Literal["allow", "deny"] = setting("What the rule does when it applies.")
    when: AuthorizationCondition = setting(
        "Whom it is about; everyone when left out.", default_factory=AuthorizationCondition
    )
    models: tuple[str, ...] | None = setting(
        "Model names with `*` and `?`.", default=None, min_length=1, max_length=MAX_GLOBS
    )
    routes: tuple[str, ...] | None = setting(
        "Gateway routes with `*` and `?`.", default=None, min_length=1, max_length=MAX_GLOBS
    )
    tools: tuple[str, ...] | None = setting(
        "Tool names with `*` and `?`; an empty list allows no tools.",
        default=None,
        max_length=MAX_GLOBS,
    )
    max_output_tokens: int | None = setting(
        "Largest output over all choices, in tokens.", default=None, ge=1
    )

    def problems(self) -> Iterator[tuple[str, str]]:
        for path, written in self.when.claims.items():
            try:
                parse_path(path)
                compile_matcher(written)
            except ValueError as error:
                yield f"when.claims.{path}", str(error)
        for name in ("models", "routes", "tools"):
            globs = getattr(self, name) or ()
            if not all(globs):
                yield name, "an empty name matches nothing"
        if self.effect == "deny":
            if self.max_output_tokens is not None:
                yield "max_output_tokens", "has no meaning in a deny rule"
            if self.tools == ():
                yield "tools", "an empty list denies nothing; leave it out to deny with any tools"


@dataclass(frozen=True, slots=True)
class AuthorizationSettings:
    """What callers may do."""

    default: Literal["deny", "allow"] = setting("When no allow rule applies.", default="deny")
    rules: tuple[AuthorizationRule, ...] = setting(
        "The rules; their order does not matter.", default=(), max_length=1000
    )

    def allowed_models(self) -> tuple[str, ...]:
        """Globs of every model that some caller may use, denials left aside."""
        globs: list[str] = ["*"] if self.default == "allow" else []
        for rule in self.rules:
            if rule.effect == "allow":
                globs += ("*",) if rule.models is None else rule.models
        return tuple(dict.fromkeys(globs))

    def problems(self) -> Iterator[tuple[str, str]]:
        seen: set[str] = set()
        for index, rule in enumerate(self.rules):
            if rule.id in seen:
                yield f"rules[{index}].id", "the same as in another rule"
            seen.add(rule.id)


@value_object(frozen=True, slots=True)
class AuthzOutcome:
    """Whether the caller may do this.

    Attributes:
        allowed: the verdict.
        rule: id of the deciding rule; empty when it is the default.
        code: stable code of a denial, empty when allowed.
        message: for the client, empty when allowed.
        max_output_tokens: cap per choice that must be written into the request, or None.
    """

    allowed: bool
    rule: str
    code: str = ""
    message: str = ""
    max_output_tokens: int | None = None


class _CompiledRule:
    """One rule, ready to be asked.

    Names come as the spellings to compare: a grant is asked about the name itself, a denial about
    all of `globs.spellings`.
    """

    __slots__ = ("_conditions", "_models", "_routes", "_tools", "cap", "id")

    def __init__(self, rule: AuthorizationRule) -> None:
        self.id = rule.id
        self.cap = rule.max_output_tokens
        lenient = rule.effect == "deny"
        self._models = _compiled(rule.models, lenient)
        self._routes = _compiled(rule.routes, lenient)
        self._tools = _compiled(rule.tools, lenient)
        self._conditions: tuple[tuple[tuple[str, ...], Matcher], ...] = tuple(
            (parse_path(path), compile_matcher(written))
            for path, written in rule.when.claims.items()
        )

    def covers_model(self, spelled: Sequence[str]) -> bool:
        return self._models is None or self._models(spelled)

    def covers_tools(self, spelled: Sequence[str]) -> bool:
        """Whether the rule is about one of these tools."""
        return self._tools is None or self._tools(spelled)

    def covers_caller(self, claims: Mapping[str, JSON], route: Sequence[str]) -> bool:
        """Whether the rule is about this caller on this route."""
        if self._routes is not None and not self._routes(route):
            return False
        for path, matches in self._conditions:  # a loop: `all` of a generator costs twice as much
            if not matches(claims.get(path[0]) if len(path) == 1 else find(claims, path)):
                return False
        return True


def _compiled(
    globs: tuple[str, ...] | None, lenient: bool
) -> Callable[[Sequence[str]], bool] | None:
    return None if globs is None else GlobSet(globs, lenient=lenient).matches_any


_Rules = tuple[_CompiledRule, ...]


class AuthorizationCheck:
    """The compiled `authorization` section of a policy."""

    def __init__(self, settings: AuthorizationSettings) -> None:
        self._default_allows = settings.default == "allow"
        self._remembered = lru_cache(_REMEMBERED_MODELS)(self._about)
        self._denials = tuple(_CompiledRule(r) for r in settings.rules if r.effect == "deny")
        self._grants = tuple(_CompiledRule(r) for r in settings.rules if r.effect == "allow")

    def authorize(
        self,
        principal: Principal,
        *,
        model: str,
        route: str,
        tools: Sequence[str],
        max_output_tokens: int | None,
        choices: int,
    ) -> AuthzOutcome:
        """Decide whether the caller may send this request.

        Args:
            principal: who is calling.
            model: model name as the client wrote it.
            route: the gateway's route name.
            tools: names of every tool the request offers.
            max_output_tokens: the request's own cap per choice, or None.
            choices: how many answers it asks for, at least 1.
        """
        claims = principal.claims
        known = len(model) <= _REMEMBERED_CHARACTERS
        denials, grants = self._remembered(model) if known else self._about(model)
        denial = _denial(denials, claims, route, tools)
        if denial is not None:
            return denial
        routes = (route,)
        applicable = [rule for rule in grants if rule.covers_caller(claims, routes)]
        if applicable:
            return _granted(applicable, tools, max_output_tokens, choices)
        if self._default_allows:
            return AuthzOutcome(True, "")
        if any(rule.covers_caller(claims, routes) for rule in self._grants):
            message = f"the model{_shown(model)} is not allowed for this caller"
            return AuthzOutcome(False, "", "model_not_allowed", message)
        return AuthzOutcome(False, "", "not_authorized", "this caller is not allowed here")

    def _about(self, model: str) -> tuple[_Rules, _Rules]:
        """The denials and the grants that are about `model`."""
        spelled, exact = spellings(model), (model,)
        return (
            tuple(rule for rule in self._denials if rule.covers_model(spelled)),
            tuple(rule for rule in self._grants if rule.covers_model(exact)),
        )


def _denial(
    denials: _Rules, claims: Mapping[str, JSON], route: str, tools: Sequence[str]
) -> AuthzOutcome | None:
    """Step 2 of the module's semantics."""
    if not denials:
        return None
    routes = spellings(route)
    spelled_tools = [spelling for tool in tools for spelling in spellings(tool)]
    for rule in denials:
        if rule.covers_tools(spelled_tools) and rule.covers_caller(claims, routes):
            return AuthzOutcome(False, rule.id, "denied_by_rule", "this request is not allowed")
    return None


def _granted(
    applicable: Sequence[_CompiledRule],
    tools: Sequence[str],
    max_output_tokens: int | None,
    choices: int,
) -> AuthzOutcome:
    """Steps 4 and 5 of the module's semantics."""
    deciding = _most_permissive(applicable) if not tools else None
    for tool in dict.fromkeys(tools):
        grants = [rule for rule in applicable if rule.covers_tools((tool,))]
        if not grants:
            message = f"the tool{_shown(tool)} is not allowed for this caller"
            return AuthzOutcome(False, "", "tool_not_allowed", message)
        best = _most_permissive(grants)
        if deciding is None or _allowance(best) < _allowance(deciding):
            deciding = best
    assert deciding is not None
    return _capped(deciding, max_output_tokens, choices)


def _allowance(rule: _CompiledRule) -> float:
    return float("inf") if rule.cap is None else rule.cap


def _most_permissive(rules: Sequence[_CompiledRule]) -> _CompiledRule:
    """The first of those with the largest cap."""
    return max(rules, key=_allowance)


def _capped(rule: _CompiledRule, asked: int | None, choices: int) -> AuthzOutcome:
    cap = rule.cap
    if cap is None:
        return AuthzOutcome(True, rule.id)
    # some servers read zero, -1 or no choices at all as "unlimited" or "default"
    if choices >= 1 and asked is None and cap >= choices:
        return AuthzOutcome(True, rule.id, max_output_tokens=cap // choices)
    if choices >= 1 and asked is not None and asked >= 1 and asked * choices <= cap:
        return AuthzOutcome(True, rule.id)
    return AuthzOutcome(
        False,
        rule.id,
        "output_limit_exceeded",
        f"this caller may ask for at most {cap} output tokens over all choices",
    )


def _shown(name: str) -> str:
    return f" {name!r}" if _SHOWABLE.fullmatch(name) else ""
