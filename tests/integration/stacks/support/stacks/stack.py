"""What a test may do to a stack, whatever runs it."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import requests

from stacks.client import chat

ROOT = next(p for p in Path(__file__).parents if (p / "deploy" / "compose").is_dir())
COMPOSE = ROOT / "deploy" / "compose"


def wait_for(what: str, probe: Callable[[], object], deadline_s: float = 30.0) -> None:
    """Poll until `probe` gives something truthy."""
    end = time.monotonic() + deadline_s
    while not probe():
        assert time.monotonic() < end, f"waited {deadline_s} s for {what}"
        time.sleep(0.05)


@dataclass
class Harm:
    """What tests have done to the services and not yet undone."""

    crashed: set[str] = field(default_factory=set)
    paused: set[str] = field(default_factory=set)
    cut: set[str] = field(default_factory=set)


class Stack(ABC):
    """One gateway with everything around it.

    Attributes:
        gateway: `envoy`, `cloudflare`, `kong`, or `kong-driver`, which is not Kong.
        folder: of deploy/compose.
        backend: `docker` or `native`.
        http: base URL of the gateway.
        guards: the services that decide; the gateway fails closed without them.
    """

    gateway: str
    folder: str
    backend: str
    http: str
    guards: tuple[str, ...]

    def __init__(self, policy_dir: Path) -> None:
        self.policy_file = policy_dir / "policy.yaml"
        self.harm = Harm()

    @property
    @abstractmethod
    def services(self) -> list[str]:
        """Names of the services."""

    @abstractmethod
    def _log(self, service: str) -> str: ...

    def logs(self, service: str = "") -> str:
        """What the service (without a name: every one) has written, earlier lives included."""
        if service:
            return self._log(service)
        return "\n".join(f"--- {name}\n{self._log(name)}" for name in self.services)

    @abstractmethod
    def _kill(self, service: str) -> None: ...

    @abstractmethod
    def _start(self, service: str) -> None: ...

    @abstractmethod
    def _freeze(self, service: str, *, frozen: bool) -> None: ...

    @abstractmethod
    def _connect(self, service: str, *, connected: bool) -> None: ...

    @abstractmethod
    def restart(self, service: str) -> None:
        """Stop the service in its own time (SIGTERM) and start it again."""

    def policy_changed(self) -> None:  # noqa: B027 - most gateways look by themselves
        """Tell the gateway that the policy file has changed."""

    def crash(self, service: str) -> None:
        """SIGKILL."""
        self._kill(service)
        self.harm.crashed.add(service)

    def revive(self, service: str) -> None:
        """Start what has crashed."""
        self._start(service)
        self.harm.crashed.discard(service)

    def pause(self, service: str) -> None:
        """Freeze the process: connections stay up and nothing answers."""
        self._freeze(service, frozen=True)
        self.harm.paused.add(service)

    def resume(self, service: str) -> None:
        """Undo `pause`."""
        self._freeze(service, frozen=False)
        self.harm.paused.discard(service)

    def cut(self, service: str) -> None:
        """Take the service off the network; it goes on running."""
        self._connect(service, connected=False)
        self.harm.cut.add(service)

    def mend(self, service: str) -> None:
        """Undo `cut`."""
        self._connect(service, connected=True)
        self.harm.cut.discard(service)

    def heal(self) -> None:
        """Undo all harm. What was started again needs a moment (`wait_until_whole`)."""
        for service in tuple(self.harm.paused):
            self.resume(service)
        for service in tuple(self.harm.cut):
            self.mend(service)
        for service in tuple(self.harm.crashed):
            self.revive(service)

    def wait_until_whole(self) -> None:
        """Wait until the gateway serves whichever of its threads and guards is asked.

        One answer says nothing about those that did not take part in it.
        """
        answers = range(20)
        wait_for("answers in a row", lambda: all(self._serves() for _ in answers), 60.0)

    def wait_until_serving(self, deadline_s: float = 60.0) -> None:
        """Wait until an allowed request is answered."""
        try:
            wait_for(f"{self.gateway} to serve", self._serves, deadline_s)
        except AssertionError as error:
            logs = "\n".join(f"--- {s}\n{self.logs(s)[-1500:]}" for s in self.guards)
            raise AssertionError(f"{error}\n{logs}") from None

    def _serves(self) -> bool:
        try:
            return chat(self, "full", "Are you there?").status == 200
        except requests.RequestException:
            return False
