"""The plugin server: Kong's RPC methods over a loop, with every failure turned into a refusal.

Invariants:
* No method waits; what has to wait is an Event.
* Ids of instances and events start at a random number: after a restart an old id must be unknown
  ("no plugin instance" makes Kong start the instance again), never another route's policy.
* An RPC that belongs to a request is answered with a refusal, not with an RPC error: Kong logs an
  RPC error and lets the request pass.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from kong_pdk.exception import PluginServerException  # type: ignore[import-untyped]

from promptward_kong.events import (
    RET,
    Event,
    Limits,
    PhaseContext,
    PhaseCoroutine,
    Refusal,
    Reply,
    State,
    Submit,
)
from promptward_kong.loop import Channel, Loop
from promptward_kong.wire import STEP, FrameReader, RpcRequest, WireError, pack_error, pack_result

_log = logging.getLogger(__name__)

# Phases in which an error must not let the request through.
GUARDED_PHASES = frozenset({"certificate", "rewrite", "access", "response"})

# Ids must be exact in a Lua number (2**53).
_FIRST_ID_BITS = 48


class Instance(Protocol):
    """One configured plugin. Shared by concurrent requests."""

    def phase(self, name: str) -> Callable[[PhaseContext], PhaseCoroutine]:
        """The coroutine function of a phase.

        Raises:
            KeyError: the plugin has no such phase.
        """
        ...

    def close(self) -> None:
        """Kong dropped this configuration; running phases go on."""
        ...


class PluginType(Protocol):
    """A plugin by name, as Kong's query sees it."""

    name: str
    version: str
    priority: int
    phases: tuple[str, ...]

    def schema(self) -> Sequence[Mapping[str, object]]:
        """Fields of `config`."""
        ...

    def start(self, config: Mapping[str, object]) -> Instance:
        """A new instance. Must not wait, and does not raise for a wrong configuration: an
        instance that refuses says why, an error is only a bare 500."""
        ...


@dataclass(slots=True)
class _Running:
    id: int
    plugin: str
    instance: Instance
    started_s: float
    used_s: float


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Sizes and times of one server.

    Attributes:
        deadlines_s: answer deadline by phase, seconds.
        max_message_bytes: largest RPC message; bounds memory per connection.
        max_events: events at once; beyond it the ones Kong abandoned go first.
        instance_idle_s: an instance unused for this long is closed. Kong forgets instances without
            closing them when it restarts one; it starts one again that it still wants.
        refusal: what a client is told when its phase failed before anything about it is known.
    """

    refusal: Refusal
    deadlines_s: Mapping[str, float]
    max_message_bytes: int = 64 << 20
    max_events: int = 20_000
    instance_idle_s: float = 3600.0


class PluginServer:
    """RPC methods over connections.

    Args:
        submit: hands work to the workers.
        vitals: what else `plugin.GetStatus` tells.
    """

    def __init__(
        self,
        loop: Loop,
        plugins: Mapping[str, PluginType],
        submit: Submit,
        options: ServerOptions,
        vitals: Callable[[], Mapping[str, object]] = dict,
    ) -> None:
        self._loop = loop
        self._plugins = plugins
        self._submit = submit
        self._options = options
        self._vitals = vitals
        self._instances: dict[int, _Running] = {}
        self._events: dict[int, Event] = {}
        self._connections: set[Channel] = set()
        self._next_instance = secrets.randbits(_FIRST_ID_BITS)
        self._next_event = secrets.randbits(_FIRST_ID_BITS)
        self._draining = False
        loop.every(0.2, self._expire)
        loop.every(60.0, self.close_idle)

    @property
    def event_count(self) -> int:
        return len(self._events)

    def accept(self, sock: socket.socket) -> None:
        """Serve a new connection from Kong."""
        reader = FrameReader(self._options.max_message_bytes)
        channel = Channel(
            self._loop,
            sock,
            lambda data: self._received(channel, reader, data),
            lambda: self._connections.discard(channel),
        )
        self._connections.add(channel)

    def drain(self) -> None:
        """Refuse new work; running events end by themselves."""
        self._draining = True

    def abort(self, reason: str) -> None:
        """End every event now, refusing the requests that wait, and close the connections."""
        for event in list(self._events.values()):
            event.end_refused(reason)
        for channel in list(self._connections):
            channel.close()

    def _received(self, channel: Channel, reader: FrameReader, data: bytes) -> None:
        try:
            for request in reader.feed(data):
                self._serve(channel, request)
        except WireError as error:
            _log.error("unreadable message: %s", error)
            if error.message_id is None:
                channel.close()
                return
            refused = {"EventId": 0, "Data": self._options.refusal.call()}
            channel.send(pack_result(error.message_id, refused))
            channel.finish()

    def _serve(self, channel: Channel, request: RpcRequest) -> None:
        def reply(result: object) -> None:
            channel.send(pack_result(request.id, result))

        of_request = request.method.startswith(("plugin.HandleEvent", STEP))
        try:
            if request.method == "plugin.HandleEvent":
                self._handle_event(request.argument, reply)
            elif of_request:
                self._step(request.argument, reply, request.method == "plugin.StepError")
            else:
                reply(self._manage(request.method, request.argument))
        except PluginServerException as error:
            channel.send(pack_error(request.id, str(error)))
        # The barrier: whatever fails here, the request behind it must be refused.
        except Exception as error:  # noqa: BLE001
            _log.exception("%s failed", request.method)
            if of_request:
                self._refuse(reply)
            else:
                channel.send(pack_error(request.id, f"internal error: {type(error).__name__}"))

    def _refuse(self, reply: Reply) -> None:
        reply({"EventId": 0, "Data": self._options.refusal.call()})

    # -- requests ------------------------------------------------------------------------------

    def _handle_event(self, argument: object, reply: Reply) -> None:
        match argument:
            case {"InstanceId": int() | float() as number, "EventName": str(phase)}:
                instance_id = int(number)  # Lua has only one kind of number
            case _:
                raise TypeError("HandleEvent: InstanceId and EventName expected")
        running = self._instances.get(instance_id)
        if running is None:
            # Kong looks for exactly these words and then starts the instance again.
            raise PluginServerException(f"no plugin instance #{instance_id}")
        running.used_s = self._loop.now_s()
        guarded = phase in GUARDED_PHASES
        if self._draining or not self._has_room():
            _log.error("refusing a request: %s", "stopping" if self._draining else "full")
            reply({"EventId": 0, "Data": self._options.refusal.call() if guarded else RET})
            return
        context = PhaseContext(self._options.refusal)
        event = Event(
            id=self._next_event,
            phase=phase,
            guarded=guarded,
            coroutine=running.instance.phase(phase)(context),
            context=context,
            limits=Limits(answer_s=self._options.deadlines_s.get(phase, 20.0)),
            submit=self._submit,
            now_s=self._loop.now_s,
            forget=self._forget,
        )
        self._next_event += 1
        self._events[event.id] = event
        event.start(reply)

    def _has_room(self) -> bool:
        """Whether one more event may begin; the oldest that only waits for Kong gives way.

        Kong never answers a call whose client left while it uploaded, so events can be abandoned
        at will; they must not keep others out.
        """
        if len(self._events) < self._options.max_events:
            return True
        parked = (e for e in self._events.values() if e.state is State.WAIT_KONG)
        oldest = next(parked, None)
        if oldest is None:
            return False
        oldest.end_refused("too many events")
        return True

    def _step(self, argument: object, reply: Reply, failed: bool) -> None:
        match argument:
            case {"EventId": int() | float() as number, **fields}:
                event_id, data = int(number), fields.get("Data")
            case _:
                raise TypeError("Step: EventId expected")
        event = self._events.get(event_id)
        if event is None or not event.step(reply, data, failed):
            # Forgotten, of a server before this one, or stepped twice. Which phase it was is not
            # known; exit in the log phase only adds a line to Kong's log.
            _log.error("step of an event that does not wait for one")
            self._refuse(reply)

    def _forget(self, event: Event) -> None:
        self._events.pop(event.id, None)

    def _expire(self) -> None:
        now_s = self._loop.now_s()
        for event in [e for e in self._events.values() if e.deadline_s <= now_s]:
            event.expire(now_s)

    # -- management ----------------------------------------------------------------------------

    def _manage(self, method: str, argument: object) -> object:
        match method, argument:
            case "plugin.StartInstance", {"Name": str(name), "Config": str() | bytes() as text}:
                return self._start_instance(name, json.loads(text))
            case "plugin.CloseInstance", int() | float() as number:
                return self._close_instance(int(number))
            case "plugin.InstanceStatus", int() | float() as number:
                return self._describe(self._instance(int(number)))
            case "plugin.GetPluginInfo", str(name):
                return plugin_info(self._plugin(name))
            case "plugin.GetStatus", _:
                return self._status()
        raise PluginServerException(f"{method} with such an argument is not supported")

    def _plugin(self, name: str) -> PluginType:
        plugin = self._plugins.get(name)
        if plugin is None:
            raise PluginServerException(f"{name} not initialized")
        return plugin

    def _instance(self, instance_id: int) -> _Running:
        running = self._instances.get(instance_id)
        if running is None:
            raise PluginServerException(f"no plugin instance #{instance_id}")
        return running

    def _start_instance(self, name: str, config: object) -> object:
        if not isinstance(config, dict):
            config = {}  # Lua cannot tell an empty table from an empty list
        instance = self._plugin(name).start(config)
        now_s = self._loop.now_s()
        running = _Running(self._next_instance, name, instance, time.time(), now_s)
        self._next_instance += 1
        self._instances[running.id] = running
        return self._describe(running)

    def _close_instance(self, instance_id: int) -> object:
        running = self._instance(instance_id)
        del self._instances[instance_id]
        running.instance.close()
        return self._describe(running)

    def close_idle(self) -> None:
        """Close instances that nobody used for `instance_idle_s`."""
        oldest_s = self._loop.now_s() - self._options.instance_idle_s
        for running in [r for r in self._instances.values() if r.used_s < oldest_s]:
            self._close_instance(running.id)

    @staticmethod
    def _describe(running: _Running) -> dict[str, object]:
        # Kong only reads Id. The configuration may hold secrets and is not sent back.
        return {
            "Name": running.plugin,
            "Id": running.id,
            "Config": {},
            "StartTime": running.started_s,
        }

    def _status(self) -> object:
        return {
            "Pid": os.getpid(),
            "Plugins": {
                name: {
                    "Name": name,
                    "Instances": [
                        self._describe(running)
                        for running in self._instances.values()
                        if running.plugin == name
                    ],
                }
                for name in self._plugins
            },
            "Events": len(self._events),
            "Draining": self._draining,
            **self._vitals(),
        }


def plugin_info(plugin: PluginType) -> dict[str, object]:
    """What Kong's query command wants to know about a plugin."""
    return {
        "Name": plugin.name,
        "Phases": list(plugin.phases),
        "Priority": plugin.priority,
        "Version": plugin.version,
        "Schema": {
            "name": plugin.name,
            "fields": [{"config": {"type": "record", "fields": list(plugin.schema())}}],
        },
    }
