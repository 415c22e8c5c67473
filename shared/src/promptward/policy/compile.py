"""Compile a decoded policy: everything that can be decided once is decided here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from promptward.auth.globs import GlobSet
from promptward.checks.authorization import AuthorizationCheck
from promptward.checks.budgeting import Budget, Partition
from promptward.checks.content import ContentCheck, Mode, Phase
from promptward.checks.identity import IdentityCheck
from promptward.checks.pii import PiiSettings
from promptward.checks.registry import CheckSettings, build_check
from promptward.checks.restore import RestoreCheck
from promptward.checks.token_budget import COUNTED, rate_limit_headers
from promptward.decision import HeaderPairs, PolicyRef
from promptward.errors import PolicyError
from promptward.jsonstrict import JsonLimits
from promptward.policy.model import Policy, PolicySpec
from promptward.ports import ClassifierQuery, LineState
from promptward.pricing import PriceTable, price_table
from promptward.protocols import PROTOCOLS, ChatProtocol, RequestLimits


@dataclass(frozen=True, slots=True)
class CompiledPolicy:
    """A policy ready to be enforced; immutable, shared by all requests.

    Attributes:
        ref: name, version and SHA-256 of the text.
        model: the decoded policy.
        identity: who is calling.
        authorization: what they may do.
        budgets: by id, those whose mode is not off.
        tenant: partition that shards the ledger, or None.
        prices: price table.
        request_checks: content checks of requests, in order.
        response_checks: content checks of responses, in order.
        protocols: wire protocols that may be used.
        routes: routes the policy applies to.
        names_routes: whether something is withheld, denied or counted on some routes only.
        read_only_paths: see `Target`.
        json_limits: bounds of JSON bodies.
        request_limits: bounds of the LLM view.
        spec: the rules of `model`.
        settles_from_usage: whether a budget is settled from what the upstream reports.
        reads_responses: whether any response may have to be read, for its text or its usage.
        needs_system_text: whether a response check compares with the request's system text.
        visible_windows: budget id -> window in seconds, for budgets that clients are told about.
        classifier_queries: what the checks ask external classifiers.
    """

    ref: PolicyRef
    model: Policy
    identity: IdentityCheck
    authorization: AuthorizationCheck
    budgets: Mapping[str, Budget]
    tenant: Partition | None
    prices: PriceTable
    request_checks: tuple[ContentCheck, ...]
    response_checks: tuple[ContentCheck, ...]
    protocols: tuple[ChatProtocol, ...]
    routes: GlobSet
    names_routes: bool
    read_only_paths: GlobSet
    json_limits: JsonLimits
    request_limits: RequestLimits
    spec: PolicySpec
    settles_from_usage: bool
    reads_responses: bool
    needs_system_text: bool
    visible_windows: Mapping[str, int]
    classifier_queries: tuple[ClassifierQuery, ...]

    def require_ports(
        self, *, ledger: bool, verifier: bool, keys: bool, classifier: bool, tokens: bool
    ) -> None:
        """Refuse to run without what the policy depends on.

        Raises:
            PolicyError: one line per missing port.
        """
        jwt = self.spec.identity.jwt
        needs = {
            "a budget ledger": (bool(self.budgets), ledger),
            "a signature verifier": (bool(jwt), verifier),
            "a key source": (any(i.jwks_uri for i in jwt), keys),
            "an external classifier": (bool(self.classifier_queries), classifier),
            "an exact token counter": (self.spec.counts_exactly, tokens),
        }
        missing = [name for name, (needed, given) in needs.items() if needed and not given]
        if missing:
            raise PolicyError([f"(host): the policy needs {name}" for name in missing])

    def rate_limit_headers(self, states: Iterable[LineState]) -> HeaderPairs:
        """Rate-limit fields of enforced budgets after an operation."""
        visible = [s for s in states if s.budget in self.visible_windows]
        return tuple(rate_limit_headers(visible, self.visible_windows)) if visible else ()


def compile_policy(model: Policy, sha256: str) -> CompiledPolicy:
    """Compile `model`.

    Args:
        sha256: hexadecimal digest of the policy text.

    Raises:
        PolicyError: every part that cannot be compiled, at once.
    """
    spec = model.spec
    checks = _build_checks(spec)
    budgets = [Budget(b, spec.mode) for b in spec.budgets if _active(b.mode, spec.mode)]
    limits = spec.limits
    response_checks = tuple(c for c in checks if Phase.RESPONSE in c.phases)
    settles_from_usage = any(b.settings.unit not in COUNTED for b in budgets)
    return CompiledPolicy(
        ref=PolicyRef(model.metadata.name, model.metadata.version, sha256),
        model=model,
        identity=IdentityCheck(spec.identity),
        authorization=AuthorizationCheck(spec.authorization),
        budgets={b.settings.id: b for b in budgets},
        tenant=Partition((spec.budget_tenant,)) if spec.budget_tenant else None,
        prices=price_table(spec.prices, spec.price_table),
        request_checks=tuple(c for c in checks if Phase.REQUEST in c.phases),
        response_checks=response_checks,
        protocols=tuple(PROTOCOLS[name] for name in spec.target.protocols),
        routes=GlobSet(spec.target.routes),
        names_routes=_names_routes(spec),
        read_only_paths=GlobSet(spec.target.read_only_paths),
        json_limits=JsonLimits(
            max_bytes=limits.max_decompressed_bytes, max_depth=limits.max_json_depth
        ),
        request_limits=RequestLimits(limits.max_messages, limits.max_parts),
        spec=spec,
        settles_from_usage=settles_from_usage,
        reads_responses=bool(response_checks) or settles_from_usage,
        needs_system_text=any(c.needs_system_text for c in response_checks),
        visible_windows={b.settings.id: b.window.duration_s for b in budgets if not b.soft},
        classifier_queries=tuple(_classifier_queries(spec)),
    )


def _names_routes(spec: PolicySpec) -> bool:
    """Allow rules are left out: on a route without a name they grant nothing."""
    denials = [r.routes for r in spec.authorization.rules if r.effect == "deny" and r.routes]
    limits = [b.routes for b in spec.budgets if _active(b.mode, spec.mode)]
    return any("*" not in routes for routes in (spec.target.routes, *denials, *limits))


def _active(mode: Mode, policy_mode: Mode) -> bool:
    return Mode.OFF not in (mode, policy_mode)


def _classifier_queries(spec: PolicySpec) -> Iterator[ClassifierQuery]:
    for check in spec.checks:
        if isinstance(check, PiiSettings) and check.classifier and _active(check.mode, spec.mode):
            yield check.classifier.query


def _build_checks(spec: PolicySpec) -> list[ContentCheck]:
    checks, problems = [], []
    for index, settings in enumerate(spec.checks):
        try:
            check = build_check(_in_mode(settings, spec.mode), spec.streaming.window_bytes)
        except PolicyError as error:
            problems += [f"spec.checks[{index}].{p}" for p in error.problems]
            continue
        if check is not None:
            checks.append(check)
    if problems:
        raise PolicyError(problems)
    if any(_restores(c) for c in spec.checks):
        checks.append(RestoreCheck())
    return checks


def _restores(settings: CheckSettings) -> bool:
    return (
        isinstance(settings, PiiSettings)
        and settings.restore
        and settings.pseudonymizes
        and settings.mode is Mode.ENFORCE
    )


def _in_mode(settings: CheckSettings, policy_mode: Mode) -> CheckSettings:
    # the policy's mode can only weaken a check's own
    if policy_mode is Mode.OFF or settings.mode is Mode.OFF:
        return replace(settings, mode=Mode.OFF)
    if policy_mode is Mode.SHADOW:
        return replace(settings, mode=Mode.SHADOW)
    return settings
