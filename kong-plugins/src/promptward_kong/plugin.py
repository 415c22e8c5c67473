"""The two plugins Kong knows: `promptward` streams, `promptward-buffered` sees responses."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Protocol

from promptward_kong import __version__
from promptward_kong.abandoned import AbandonedRequests
from promptward_kong.config import front_options, own_config, with_policy_text
from promptward_kong.effects import Work
from promptward_kong.loop import Loop
from promptward_kong.phases import InstancePhases
from promptward_kong.pool import WorkerPool
from promptward_kong.schema import config_fields
from promptward_kong.server import Instance
from promptward_kong.tickets import TicketStore

STREAMING = "promptward"
BUFFERED = "promptward-buffered"

# Below key-auth (1250) and the other authentication plugins, so that the consumer is known; above
# rate-limiting (910) and ai-proxy (770), so that they see what was decided and rewritten.
PRIORITY = 940

_PHASES = {STREAMING: ("access", "log"), BUFFERED: ("access", "response", "log")}
_PREPARE_S = 30.0
# Kong closes an instance while requests of it run on (a client may upload for minutes).
_KEEP_S = 360.0
_SWEEP_S = 5.0


class Host(Protocol):
    """What instances use of the server around them."""

    loop: Loop
    pool: WorkerPool
    tickets: TicketStore
    abandoned: AbandonedRequests


class PromptwardPlugin:
    """Implements `server.PluginType`.

    Args:
        name: STREAMING or BUFFERED.
        host: None when only the description is wanted (Kong's query).
    """

    def __init__(self, name: str, host: Host | None = None) -> None:
        self.name = name
        self.version = __version__
        self.priority = PRIORITY
        self.phases = _PHASES[name]
        self._host = host
        self._users: dict[str, int] = {}
        self._unused: dict[str, float] = {}  # key -> when it may be forgotten
        if host is not None:
            host.loop.every(_SWEEP_S, self._forget_unused)

    def schema(self) -> list[dict[str, dict[str, object]]]:
        """See `server.PluginType`."""
        return config_fields()

    def start(self, config: Mapping[str, object]) -> Instance:
        """An instance. Equal configurations share one engine per worker."""
        host = self._host
        assert host is not None, "a plugin without a host only describes itself"
        phases = InstancePhases(
            self._hold(config),
            front_options(config),
            host.tickets,
            buffered=self.name == BUFFERED,
            now_s=host.loop.now_s,
            release=self._release,
            abandon=host.abandoned.add,
            reread=lambda key: self._reread(key, config),
            closed=self._drop,
        )
        host.pool.broadcast(Work("prepare", phases.key, None), host.loop.now_s() + _PREPARE_S)
        return phases

    def _hold(self, config: Mapping[str, object]) -> str:
        """Make a configuration known to the workers; returns its key.

        The text of a policy file is part of it, so that all workers, later ones included, enforce
        the same policy whatever happens to the file.
        """
        host = self._host
        assert host is not None
        text = json.dumps([self.name, with_policy_text(own_config(config))], sort_keys=True)
        key = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        self._users[key] = self._users.get(key, 0) + 1
        self._unused.pop(key, None)
        host.pool.add_instance(key, text)
        return key

    def _reread(self, key: str, config: Mapping[str, object]) -> str:
        """The key of `config` now: another one when its policy file has changed."""
        new = self._hold(config)
        self._drop(key)
        return new

    def _release(self, key: str, ticket: bytes) -> None:
        host = self._host
        assert host is not None
        work = Work("lost", key, [ticket, "upstream_error"])
        host.pool.submit(work, host.loop.now_s() + _PREPARE_S, _ignore)

    def _drop(self, key: str) -> None:
        host = self._host
        assert host is not None
        self._users[key] -= 1
        if not self._users[key]:
            del self._users[key]
            self._unused[key] = host.loop.now_s() + _KEEP_S

    def _forget_unused(self) -> None:
        """Drop engines that no request can be using any more."""
        host = self._host
        assert host is not None
        now_s = host.loop.now_s()
        for key in [key for key, due_s in self._unused.items() if due_s <= now_s]:
            del self._unused[key]
            host.pool.remove_instance(key, Work("close", key, None))


def _ignore(_result: object) -> None:
    """Nobody waits for a released reservation; it expires by itself if this fails."""
