"""What is compared between gateways, and what of it differs by nature.

Left out or made equal: times, request ids, the random part of pseudonyms, and the seconds in
rate-limit fields. Everything else must be the same everywhere, byte for byte.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from promptward.testing.conformance.upstream import Received
from promptward.testing.conformance.vectors import Answer, Gateway, Vector

# pseudonyms end in 12 random hexadecimal digits (engine.request)
_NONCE = re.compile(r"(<[A-Z][A-Z0-9_]*_\d+_)[0-9a-f]{12}>")
_HEADERS = (
    "content-type",
    "www-authenticate",
    "ratelimit-policy",
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
)
# fields that a client might forge or that hold its credential: which of them reached the upstream
_UPSTREAM_HEADERS = ("authorization", "x-api-key", "x-consumer-id", "x-promptward-principal")
_ENTRY = ("budget", "partition", "unit", "amount", "state")


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything one step did, in comparable form.

    Attributes:
        headers: the compared response fields that were present.
        retry_after: whether the field was present.
        upstream: bodies that reached the upstream, with forged or credential headers.
        audit: events without times and ids.
        ledger: entries of the caller so far.
    """

    status: int
    headers: Mapping[str, str]
    retry_after: bool
    body: str
    upstream: Sequence[Mapping[str, Any]]
    audit: Sequence[Mapping[str, Any]]
    ledger: Sequence[Mapping[str, Any]]

    def as_json(self) -> dict[str, Any]:
        """For the golden file."""
        return asdict(self)


def observe(
    gateway: Gateway, vector: Vector, answer: Answer, received: Sequence[Received]
) -> Observation:
    """Put one step's effects together."""
    headers = {n.lower(): v for n, v in answer.headers}
    events = [e for e in gateway.audit_events() if _is_of(e, vector)]
    entries = [e for e in gateway.ledger_entries() if _owner(e) == vector.id]
    return Observation(
        status=answer.status,
        headers={n: headers[n] for n in _HEADERS if n in headers},
        retry_after="retry-after" in headers,
        body=_text(answer.body),
        upstream=[_seen(r) for r in received],
        audit=[_comparable(e) for e in events],
        ledger=sorted(({k: e[k] for k in _ENTRY} for e in entries), key=_entry_key),
    )


def unmet(observation: Observation, expect: Mapping[str, Any]) -> Iterator[str]:
    """What a hand-written expectation asks for and the observation does not show.

    Keys: status, code (in the error body), body (exact), body_has / body_lacks (lists of texts),
    upstream (the exact body, or null for "nothing reached it"), upstream_has / upstream_lacks,
    header (name: value), ledger (list of [budget, amount, state]), findings (list of rule
    prefixes, all events together), unread (pointer: reason).
    """
    seen = observation.upstream[-1]["body"] if observation.upstream else None
    checks: dict[str, tuple[Any, Any]] = {
        "status": (observation.status, expect.get("status")),
        "body": (observation.body, expect.get("body")),
        "upstream": (seen, expect.get("upstream")),
        "ledger": (
            [[e["budget"], e["amount"], e["state"]] for e in observation.ledger],
            expect.get("ledger"),
        ),
    }
    for name, (actual, wanted) in checks.items():
        if name in expect and actual != wanted:
            yield f"{name}: expected {wanted!r}, got {actual!r}"
    yield from _unmet_texts(observation, seen or "", expect)
    yield from _unmet_events(observation, expect)


def _unmet_texts(observation: Observation, seen: str, expect: Mapping[str, Any]) -> Iterator[str]:
    if "code" in expect and f'"code":"{expect["code"]}"' not in observation.body:
        yield f"code: expected {expect['code']!r} in {observation.body!r}"
    for where, text in (("body", observation.body), ("upstream", seen)):
        for part in expect.get(f"{where}_has", ()):
            if part not in text:
                yield f"{where}: expected {part!r} in {text!r}"
        for part in expect.get(f"{where}_lacks", ()):
            if part in text:
                yield f"{where}: {part!r} must not be in {text!r}"
    for name, value in expect.get("header", {}).items():
        if observation.headers.get(name) != value:
            yield f"header {name}: expected {value!r}, got {observation.headers.get(name)!r}"


def _unmet_events(observation: Observation, expect: Mapping[str, Any]) -> Iterator[str]:
    rules = [f["rule"] for e in observation.audit for f in e["findings"]]
    for prefix in expect.get("findings", ()):
        if not any(rule.startswith(prefix) for rule in rules):
            yield f"findings: no rule starts with {prefix!r} among {rules}"
    if expect.get("findings") == [] and rules:
        yield f"findings: expected none, got {rules}"
    unread = {u["pointer"]: u["reason"] for e in observation.audit for u in e["coverage"]["unread"]}
    for pointer, reason in expect.get("unread", {}).items():
        if unread.get(pointer) != reason:
            yield f"unread {pointer}: expected {reason!r}, got {unread.get(pointer)!r}"


def _text(data: bytes) -> str:
    try:
        return _NONCE.sub(r"\1NONCE>", data.decode())
    except UnicodeDecodeError:
        return "base64:" + base64.b64encode(data).decode()


def _seen(received: Received) -> dict[str, Any]:
    names = {n.lower() for n, _ in received.headers}
    return {
        "method": received.method,
        "path": received.path,
        "body": _text(received.body),
        "headers": [n for n in _UPSTREAM_HEADERS if n in names],
    }


def _is_of(event: Mapping[str, Any], vector: Vector) -> bool:
    principal = event.get("principal")
    return principal is not None and principal["id"] == vector.id


def _comparable(event: Mapping[str, Any]) -> dict[str, Any]:
    left_out = ("time", "request_id", "policy", "budgets", "route")
    return {k: v for k, v in event.items() if k not in left_out}


def _owner(entry: Mapping[str, Any]) -> str:
    match = re.search(r"principal=api_key:([^|]*)", entry["partition"])
    return match[1] if match else ""


def _entry_key(entry: Mapping[str, Any]) -> tuple[str, int, str]:
    return entry["budget"], entry["amount"], entry["state"]
