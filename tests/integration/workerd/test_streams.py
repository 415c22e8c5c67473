"""Event streams through the real Worker: each chunk as it comes, and every way they can end."""

from __future__ import annotations

import http.client
import json
import queue
import threading
import time
from collections.abc import Callable

import pytest

from promptward_workerd.testing.client import ChatClient
from promptward_workerd.testing.scripted_origin import Origin, Received, Wire, event

pytestmark = pytest.mark.workerd
Clients = Callable[[str], ChatClient]
EMAIL = "jane.roe@example.com"
DEADLINE_S = 20.0
DONE = b"data: [DONE]\n\n"


class Puppet:
    """An origin that streams what the test puts into `chunks`; None ends, `cut` breaks it off."""

    def __init__(self) -> None:
        self.chunks: queue.Queue[bytes | None] = queue.Queue()
        self.client_gone = threading.Event()
        self.request: Received | None = None
        self.cut = False

    def __call__(self, received: Received, wire: Wire) -> None:
        self.request = received
        wire.start(200, {"content-type": "text/event-stream"})
        try:
            while (chunk := self.chunks.get(timeout=DEADLINE_S)) is not None:
                wire.send(chunk)
        except OSError:
            self.client_gone.set()
            return
        if self.cut:
            wire.cut()
        else:
            wire.end()


def puppet(origin: Origin, name: str) -> tuple[Puppet, dict[str, str]]:
    origin.scripts[name] = made = Puppet()
    return made, {"x-script": name}


def spent(chat: ChatClient) -> int:
    """Tokens used up so far, by what the next answer says (it costs 12 itself)."""
    headers = chat.chat("hello").headers
    return int(headers["x-ratelimit-limit-tokens"]) - int(headers["x-ratelimit-remaining-tokens"])


def content(events: bytes) -> str:
    found = []
    for line in events.split(b"\n"):
        if line.startswith(b"data: {"):
            choices = json.loads(line[6:]).get("choices", [])
            found += [choice["delta"].get("content") or "" for choice in choices]
    return "".join(found)


def until(condition: Callable[[], bool]) -> None:
    """Poll for `condition` until the deadline."""
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, "the deadline passed"
        threading.Event().wait(0.05)


def test_each_event_is_delivered_before_the_next_is_sent(client: Clients, origin: Origin) -> None:
    script, fields = puppet(origin, "steps")
    script.chunks.put(event("One. "))
    stream = client("alice").stream("hello", fields)
    received = [stream.event()]
    for text in ("Two. ", "Three. "):
        script.chunks.put(event(text))
        received.append(stream.event())
    assert all(received)
    for chunk in (event(finish="stop"), event(usage=30), DONE, None):
        script.chunks.put(chunk)
    rest = stream.rest()
    assert content(b"\n".join(received) + b"\n" + rest) == "One. Two. Three. "
    assert rest.endswith(DONE)


def test_usage_is_asked_for_settled_and_hidden_again(client: Clients, origin: Origin) -> None:
    script, fields = puppet(origin, "usage-stream")
    before = spent(client("bob"))
    for chunk in (event("Hi."), event(finish="stop"), event(usage=30), DONE, None):
        script.chunks.put(chunk)
    answer = client("bob").stream("hello", fields).rest()
    assert script.request is not None
    assert json.loads(script.request.body)["stream_options"] == {"include_usage": True}
    assert b'"usage"' not in answer.replace(b'"usage": null', b"").replace(b'"usage":null', b"")
    until(lambda: spent(client("bob")) - before > 12)
    assert (spent(client("bob")) - before - 30) % 12 == 0


@pytest.mark.parametrize("size", [1, 3, 7, 50])
def test_pseudonyms_are_restored_however_the_stream_is_cut(
    size: int, client: Clients, origin: Origin
) -> None:
    script, fields = puppet(origin, f"restore-{size}")

    def echo(received: Received, wire: Wire) -> None:
        pseudonym = json.loads(received.body)["messages"][-1]["content"]
        answer = event(pseudonym[:9]) + event(pseudonym[9:]) + event(finish="stop") + DONE
        for start in range(0, len(answer), size):
            script.chunks.put(answer[start : start + size])
        script.chunks.put(None)
        script(received, wire)

    origin.scripts[f"restore-{size}"] = echo
    answer = client("alice").stream(EMAIL, fields).rest()
    assert script.request is not None
    assert EMAIL.encode() not in script.request.body
    assert content(answer) == EMAIL


def test_a_client_that_leaves_is_charged_and_the_origin_is_told(
    client: Clients, origin: Origin
) -> None:
    script, fields = puppet(origin, "leave")
    before = spent(client("bob"))
    script.chunks.put(event("A long answer begins here. "))
    stream = client("bob").stream("hello", fields)
    assert stream.event()
    stream.leave()

    def origin_knows() -> bool:
        script.chunks.put(event("More. "))
        return script.client_gone.is_set()

    until(origin_knows)
    until(lambda: (spent(client("bob")) - before) % 12 > 0)


def test_a_stream_the_origin_breaks_is_broken_for_the_client_and_settled(
    client: Clients, origin: Origin
) -> None:
    script, fields = puppet(origin, "broken")
    script.cut = True
    before = spent(client("bob"))
    script.chunks.put(event("Half of an ans"))
    stream = client("bob").stream("hello", fields)
    assert stream.event()
    script.chunks.put(None)
    with pytest.raises((http.client.HTTPException, OSError)):
        stream.rest()
    until(lambda: (spent(client("bob")) - before) % 12 > 0)


def test_two_streams_at_once_keep_apart(client: Clients, origin: Origin) -> None:
    """Module globals are shared by concurrent requests: nothing of one shows in the other."""
    names = {"alice": "ann@example.com", "bob": "bob@example.org"}
    scripts, streams = {}, {}
    for name, email in names.items():
        scripts[name], fields = puppet(origin, f"apart-{name}")
        scripts[name].chunks.put(event("Begin. "))
        streams[name] = client(name).stream(f"Write to {email}", fields)
        assert streams[name].event()
    asked, pseudonyms = {}, {}
    for name, script in scripts.items():
        assert script.request is not None
        asked[name] = script.request.text
        pseudonyms[name] = json.loads(asked[name])["messages"][-1]["content"][9:]
    for name in reversed(names):
        for chunk in (event(pseudonyms[name] + " "), event(finish="stop"), DONE, None):
            scripts[name].chunks.put(chunk)
    answers = {name: streams[name].rest() for name in names}
    for name, other in (("alice", "bob"), ("bob", "alice")):
        assert names[name] in content(answers[name])
        assert names[other].encode() not in answers[name]
        assert names[name] not in asked[name]
