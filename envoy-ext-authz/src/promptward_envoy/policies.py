"""The policies of one process: loaded from files, swapped as one, kept on error.

Invariants: a reload compiles off the loop and replaces one reference at the end; if any file is
invalid nothing is replaced and the problems are kept for readiness and metrics. Every policy is
held against Envoy's capabilities when it loads: what Envoy cannot enforce is refused, not skipped.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from promptward.decision import PolicyRef
from promptward.engine import EngineApi
from promptward.errors import PolicyError, PortError
from promptward.policy import CompiledPolicy, lint, load_policy
from promptward_envoy.capabilities import ENVOY, ENVOY_EXT_AUTHZ
from promptward_envoy.engines import PolicyInForce, UnknownPolicyError
from promptward_envoy.metrics import Metrics

_log = logging.getLogger("promptward.envoy")

BuildEngine = Callable[[CompiledPolicy], EngineApi]
_MAX_SHOWN_PROBLEMS = 50


@dataclass(frozen=True, slots=True)
class LoadedSet:
    """What one successful load produced; immutable.

    Attributes:
        by_name: every policy; the empty name is the default.
        refs: in the order of the files.
        fingerprint: of the files' bytes.
    """

    by_name: Mapping[str, PolicyInForce]
    refs: tuple[PolicyRef, ...]
    fingerprint: str


class PolicyTable:
    """The policies in force.

    Args:
        files: policy files; the first is the default.
        build_engine: gives a compiled policy its ports.
        metrics: counts reloads.
    """

    def __init__(self, files: Sequence[Path], build_engine: BuildEngine, metrics: Metrics) -> None:
        self._files = tuple(files)
        self._build_engine = build_engine
        self._metrics = metrics
        self._current: LoadedSet | None = None
        self._tried = ""
        self._lock = asyncio.Lock()
        self.problems: tuple[str, ...] = ()
        self.reloads = 0

    @property
    def refs(self) -> tuple[PolicyRef, ...]:
        """The policies in force; the first is the default."""
        return self._current.refs if self._current else ()

    def policy(self, name: str) -> PolicyInForce:
        """See `EngineSource`."""
        found = self._current.by_name.get(name) if self._current else None
        if found is None:
            raise UnknownPolicyError(name)
        return found

    async def load(self) -> None:
        """Load for the first time.

        Raises:
            PolicyError: a file is unreadable or its policy cannot be enforced.
        """
        loaded = await asyncio.to_thread(self._load)
        self._tried = loaded.fingerprint
        self._install(loaded)

    async def reload(self) -> tuple[str, ...]:
        """Load again; the problems, empty when the new policies are in force."""
        async with self._lock:
            self.reloads += 1
            try:
                loaded = await asyncio.to_thread(self._load)
            except Exception as error:  # noqa: BLE001 - the old policies stay, whatever it is
                self.problems = _problems(error)
                for problem in self.problems:
                    _log.error("policy not reloaded: %s", problem)
                self._metrics.reloads.labels("error").inc()
                return self.problems
            self._install(loaded)
            self._metrics.reloads.labels("ok").inc()
            _log.info("policies reloaded: %s", ", ".join(r.sha256[:12] for r in loaded.refs))
            return ()

    async def reload_if_changed(self) -> None:
        """Reload when the files' bytes are not those that were last tried."""
        fingerprint = await asyncio.to_thread(self._fingerprint)
        if fingerprint != self._tried:
            self._tried = fingerprint
            await self.reload()

    def _install(self, loaded: LoadedSet) -> None:
        self._current = loaded
        self.problems = ()
        self._metrics.show_policies(loaded.refs)

    def _fingerprint(self) -> str:
        digest = hashlib.sha256()
        for file in self._files:
            try:
                digest.update(hashlib.sha256(file.read_bytes()).digest())
            except OSError:
                digest.update(b"unreadable")
        return digest.hexdigest()

    def _load(self) -> LoadedSet:
        fingerprint = self._fingerprint()
        compiled = [load_file(file) for file in self._files]
        by_name: dict[str, PolicyInForce] = {}
        for policy in compiled:
            if policy.ref.name in by_name:
                raise PolicyError(f"two policies are called {policy.ref.name!r}")
            alone = not lint(policy.model, ENVOY_EXT_AUTHZ)
            by_name[policy.ref.name] = PolicyInForce(self._build_engine(policy), alone)
        by_name[""] = by_name[compiled[0].ref.name]
        return LoadedSet(by_name, tuple(p.ref for p in compiled), fingerprint)


def _problems(error: Exception) -> tuple[str, ...]:
    """What to show; the text of an error that nobody foresaw may hold a value of the policy."""
    if isinstance(error, PolicyError):
        return tuple(error.problems)[:_MAX_SHOWN_PROBLEMS]
    if isinstance(error, PortError):
        return (str(error),)
    return (f"the policies could not be loaded: {type(error).__name__}",)


def load_file(file: Path) -> CompiledPolicy:
    """The policy in `file`, held against what Envoy can enforce.

    Raises:
        PolicyError: every problem, each with the file's name.
    """
    try:
        policy = load_policy(file.read_text(encoding="utf-8"), os.environ.get)
    except OSError as error:
        raise PolicyError(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PolicyError(f"{file}: not UTF-8 (byte {error.start})") from error
    except PolicyError as error:
        raise PolicyError([f"{file}: {problem}" for problem in error.problems]) from error
    gaps = lint(policy.model, ENVOY)
    if gaps:
        raise PolicyError([f"{file}: {gap}" for gap in gaps])
    return policy
