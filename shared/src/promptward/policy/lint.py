"""What a policy asks of a gateway, and what that gateway cannot give.

Adapters call `lint` when they load a policy and refuse to serve one that has findings, so that
no rule is ever configured and silently not run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from promptward.capabilities import Capability, GatewayCapabilities
from promptward.checks.content import Mode
from promptward.checks.pii import PiiSettings
from promptward.checks.prompt_injection import PromptInjectionSettings
from promptward.checks.registry import CheckSettings
from promptward.checks.token_budget import COUNTED
from promptward.policy.model import Policy, PolicySpec


@dataclass(frozen=True, slots=True)
class Requirement:
    """One setting that needs one capability."""

    path: str
    capability: Capability
    why: str


@dataclass(frozen=True, slots=True)
class LintFinding:
    """One thing the gateway cannot enforce."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


def lint(policy: Policy, gateway: GatewayCapabilities) -> list[LintFinding]:
    """Everything in `policy` that `gateway` cannot enforce; empty when it can enforce all."""
    findings = []
    for need in requirements(policy.spec):
        if need.capability not in gateway.can:
            note = gateway.notes.get(need.capability)
            hint = f" ({note})" if note else ""
            findings.append(LintFinding(need.path, f"{gateway.name} cannot {need.why}{hint}"))
    findings += _foreign_identity(policy.spec, gateway)
    largest = gateway.max_rewritten_body_bytes
    if largest and _rewrites(policy.spec):  # 0: it replaces none, which is said above
        limits = policy.spec.limits
        message = (
            f"{gateway.name} cannot replace bodies over {largest} bytes; set it to that or less"
        )
        findings += [
            LintFinding(f"spec.limits.{name}", message)
            for name in ("max_body_bytes", "max_decompressed_bytes")
            if getattr(limits, name) > largest
        ]
    return findings


def requirements(spec: PolicySpec) -> Iterator[Requirement]:
    """Each setting of the policy with the capability it needs."""
    for index, issuer in enumerate(spec.identity.jwt):
        if any(alg != "HS256" for alg in issuer.effective_algorithms()):
            yield Requirement(
                f"spec.identity.jwt[{index}].algorithms",
                Capability.ASYMMETRIC_SIGNATURES,
                "verify public-key signatures",
            )
    yield Requirement(
        "spec.authorization", Capability.READ_REQUEST_BODY, "read the model out of the request body"
    )
    for index, rule in enumerate(spec.authorization.rules):
        if rule.max_output_tokens is not None:
            yield Requirement(
                f"spec.authorization.rules[{index}].max_output_tokens",
                Capability.CHANGE_REQUEST_BODY,
                "write a cap into requests that name none",
            )
    if spec.mode is Mode.OFF:  # which still authenticates and authorizes
        return
    yield from _of_budgets(spec)
    for index, check in enumerate(spec.checks):
        if check.mode is not Mode.OFF:
            yield from _of_check(f"spec.checks[{index}]", check, spec)


def _foreign_identity(spec: PolicySpec, gateway: GatewayCapabilities) -> Iterator[LintFinding]:
    """Trust in other gateways only: here nobody could come in by it, and nobody would be told.

    Beside the gateway's own method others are welcome: gateways share policies.
    """
    trusted, own = spec.identity.gateway, gateway.identity_method
    if trusted is None or own in trusted.methods:
        return
    path = "spec.identity.gateway"
    if own is None:
        message = f"{gateway.name} cannot pass on an identity it verified; leave it out"
        yield LintFinding(path, message)
        return
    named = ", ".join(trusted.methods)
    message = f"{gateway.name} verifies callers as {own}, not as {named}; add {own} or leave out"
    yield LintFinding(f"{path}.methods", f"{message} {path}")


def _of_budgets(spec: PolicySpec) -> Iterator[Requirement]:
    if spec.counts_exactly:
        yield Requirement(
            "spec.token_counting", Capability.EXACT_TOKENS, "count tokens with a tokenizer"
        )
    for index, budget in enumerate(spec.budgets):
        if budget.mode is Mode.OFF:
            continue
        path = f"spec.budgets[{index}]"
        if budget.unit not in COUNTED:
            yield Requirement(
                f"{path}.unit", Capability.OBSERVE_USAGE, "see the usage to settle this budget to"
            )
        if budget.unit == "concurrent_requests":
            yield Requirement(
                f"{path}.unit", Capability.OBSERVE_USAGE, "see when a request has ended"
            )


def _of_check(path: str, check: CheckSettings, spec: PolicySpec) -> Iterator[Requirement]:
    if "request" in check.phase:
        yield Requirement(f"{path}.phase", Capability.READ_REQUEST_BODY, "read request bodies")
    rewrites = not isinstance(check, PromptInjectionSettings) and check.edits
    rewriting = f"{path}.{'entities' if isinstance(check, PiiSettings) else 'action'}"
    if rewrites and "request" in check.phase:
        yield Requirement(rewriting, Capability.CHANGE_REQUEST_BODY, "change a request body")
    if isinstance(check, PiiSettings) and check.classifier is not None:
        yield Requirement(
            f"{path}.classifier", Capability.EXTERNAL_CLASSIFIER, "ask an external classifier"
        )
    reads_response = "response" in check.phase or (isinstance(check, PiiSettings) and check.restore)
    if not reads_response:
        return
    yield Requirement(f"{path}.phase", Capability.READ_RESPONSE_BODY, "read responses")
    if rewrites:
        yield Requirement(rewriting, Capability.CHANGE_RESPONSE_BODY, "change a response")
    if spec.streaming.mode == "window":
        yield Requirement(
            "spec.streaming.mode",
            Capability.STREAM_RESPONSE,
            f"inspect event streams as they pass, which {path} needs",
        )
    if spec.streaming.mode == "buffer":
        yield Requirement(
            "spec.streaming.mode", Capability.BUFFER_RESPONSE, "hold back whole event streams"
        )


def _rewrites(spec: PolicySpec) -> bool:
    return any(
        isinstance(c, PiiSettings) and c.edits and c.mode is Mode.ENFORCE for c in spec.checks
    )
