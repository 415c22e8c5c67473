"""Vectors: their files, the policies they run under, and what a gateway under test provides.

File format (tests/conformance/vectors/*.json)::

    {"policy": "base", "vectors": [{
        "id": "auth-unknown-key", "about": "…", "claims": {"team": "red"},
        "steps": [{
            "request": {"method", "path", "headers": {name: value | null}, "body" | "body_base64"},
            "upstream": {"status", "headers", "body" | "body_base64" | "events", "cut"},
            "expect": {…see observation.unmet}
        }]
    }]}

Each vector has its own caller: an API key made from its id, with its claims, so that budgets of
different vectors never meet on a gateway that keeps one ledger. A `null` header is not sent.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import yaml

from promptward.exchange import JSON

STEP_HEADER = "x-conformance-step"
DEFAULT_ANSWER: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-mini",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello."},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
}


@dataclass(frozen=True, slots=True)
class Upstream:
    """What the upstream answers.

    Attributes:
        body: the bytes; `{{last_content}}` in them stands for the JSON-escaped content of the
            last message that the upstream received.
        cut: largest number of bytes per write; 0 writes all at once.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    cut: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """One request of a vector, ready to be sent."""

    name: str
    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    upstream: Upstream
    expect: Mapping[str, JSON]


@dataclass(frozen=True, slots=True)
class Vector:
    """One caller and their steps, in order."""

    id: str
    about: str
    policy: str
    key: str = field(repr=False)
    claims: Mapping[str, JSON]
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the client got."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Gateway(Protocol):
    """A gateway under test, running under one policy with a scripted upstream behind it."""

    @property
    def name(self) -> str:
        """As in exceptions.toml."""
        ...

    def send(self, step: Step) -> Answer:
        """Send a request and read the whole answer."""
        ...

    def audit_events(self) -> Sequence[Mapping[str, Any]]:
        """Every event so far, neutral format, once those of finished exchanges are written."""
        ...

    def ledger_entries(self) -> Sequence[Mapping[str, Any]]:
        """Every ledger entry so far: request_id, budget, partition, unit, amount, state."""
        ...


def load_vectors(folder: Path) -> list[Vector]:
    """Every vector of a folder, sorted by file name."""
    vectors = [v for path in sorted(folder.glob("*.json")) for v in _of_file(path)]
    ids = [v.id for v in vectors]
    repeated = {i for i in ids if ids.count(i) > 1}
    if repeated:
        raise ValueError(f"vector ids are used twice: {sorted(repeated)}")
    return vectors


def policy_text(folder: Path, name: str, vectors: Sequence[Vector]) -> str:
    """The policy `name` with an API key for each vector that runs under it."""
    document = yaml.safe_load((folder / f"{name}.yaml").read_text(encoding="utf-8"))
    keys = document["spec"]["identity"].setdefault("api_keys", {}).setdefault("keys", [])
    keys += [
        {
            "id": v.id,
            "sha256": hashlib.sha256(v.key.encode()).hexdigest(),
            "claims": dict(v.claims),
        }
        for v in vectors
        if v.policy == name
    ]
    return json.dumps(document, indent=1)


def _of_file(path: Path) -> Iterator[Vector]:
    document = json.loads(path.read_text(encoding="utf-8"))
    for item in document["vectors"]:
        key = f"key-{item['id']}"
        yield Vector(
            id=item["id"],
            about=item["about"],
            policy=item.get("policy", document["policy"]),
            key=key,
            claims=item.get("claims", {}),
            steps=tuple(
                _step(f"{item['id']}.{number}", key, step)
                for number, step in enumerate(item["steps"])
            ),
        )


def _step(name: str, key: str, data: Mapping[str, Any]) -> Step:
    request = data["request"]
    headers: dict[str, str | None] = {
        "host": "gateway.test",
        "authorization": f"Bearer {key}",
        "content-type": "application/json",
        STEP_HEADER: name,
    }
    headers |= request.get("headers", {})
    pairs = [(n, v) for n, v in headers.items() if v is not None]
    pairs += [(n, v) for n, v in request.get("more_headers", [])]
    return Step(
        name=name,
        method=request.get("method", "POST"),
        path=request.get("path", "/v1/chat/completions"),
        headers=tuple(pairs),
        body=_body(request),
        upstream=_upstream(data.get("upstream", {})),
        expect=data["expect"],
    )


def _upstream(data: Mapping[str, Any]) -> Upstream:
    events = data.get("events")
    headers = {"content-type": "text/event-stream" if events is not None else "application/json"}
    headers |= data.get("headers", {})
    if events is not None:
        body = b"".join(_event(e) for e in events)
    elif "body" in data or "body_base64" in data:
        body = _body(data)
    else:
        body = json.dumps(DEFAULT_ANSWER).encode()
    return Upstream(data.get("status", 200), tuple(headers.items()), body, data.get("cut", 0))


def _event(event: Any) -> bytes:
    if isinstance(event, str):  # raw lines, for malformed streams and comments
        return event.encode()
    return b"data: %b\n\n" % json.dumps(event, ensure_ascii=False).encode()


def _body(data: Mapping[str, Any]) -> bytes:
    if "body_base64" in data:
        return base64.b64decode(data["body_base64"])
    body = data.get("body", "")
    if isinstance(body, str):
        return body.encode("utf-8", "surrogatepass")
    return json.dumps(body, ensure_ascii=False).encode()
