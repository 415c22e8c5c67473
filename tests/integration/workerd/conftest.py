"""A real workerd for the tests: installed from lock files, one process per kind and session."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import pytest

from promptward_workerd import config, toolchain, vendor
from promptward_workerd.process import Workerd, make_snapshot
from promptward_workerd.testing.client import ChatClient
from promptward_workerd.testing.scripted_origin import Origin

POLICY = Path(__file__).parent / "policy.yaml"
PORTS_ENTRY = toolchain.PROJECT / "dev/promptward_workerd/testing/ports_entry.py"


class StartWorker(Protocol):
    """Starts a workerd that lives until the end of the session."""

    def __call__(
        self,
        *,
        entry: Path | None = None,
        policy: Path | None = None,
        variables: Mapping[str, str] | None = None,
        kv: Mapping[str, str] | None = None,
        has_kv: bool = True,
        has_ledger: bool = True,
        origin: str | None = None,
    ) -> Workerd: ...


@pytest.fixture(scope="session")
def tools() -> toolchain.Toolchain:
    """Installed tools; without npm the tests are skipped, in CI they fail."""
    try:
        return toolchain.ensure()
    except toolchain.ToolchainError as error:
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def start_worker(
    tools: toolchain.Toolchain, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StartWorker]:
    """See StartWorker."""
    snapshots: dict[Path | None, Path] = {}
    with contextlib.ExitStack() as running:

        def start(
            *,
            entry: Path | None = None,
            policy: Path | None = None,
            variables: Mapping[str, str] | None = None,
            kv: Mapping[str, str] | None = None,
            has_kv: bool = True,
            has_ledger: bool = True,
            origin: str | None = None,
        ) -> Workerd:
            root = tmp_path_factory.mktemp("worker")
            files = vendor.collect(toolchain.PROJECT / "src", tools.site, policy, entry)
            vendor.write(files, root)
            settings = config.WorkerConfig(
                root,
                tuple(f.name for f in files),
                root / "state",
                variables or {},
                has_kv=has_kv,
                has_ledger=has_ledger,
                origin=origin,
            )
            file = config.write(settings)
            for key, value in (kv or {}).items():
                (settings.kv_dir / key).write_text(value, "utf-8")
            if entry not in snapshots:
                snapshots[entry] = make_snapshot(tools, file, tmp_path_factory.mktemp("snapshot"))
            log = root / "workerd.log"
            return running.enter_context(Workerd(tools, file, log, snapshot=snapshots[entry]))

        yield start


@pytest.fixture(scope="session")
def ports_worker(start_worker: StartWorker) -> Workerd:
    """A Worker that opens its ports to the test."""
    return start_worker(entry=PORTS_ENTRY)


@pytest.fixture(scope="session")
def origin() -> Iterator[Origin]:
    """The guarded LLM origin."""
    running = Origin()
    yield running
    running.close()


@pytest.fixture(scope="session")
def worker(start_worker: StartWorker, origin: Origin) -> Workerd:
    """The real Worker with policy.yaml bundled and no KV, in front of `origin`."""
    return start_worker(
        policy=POLICY,
        has_kv=False,
        variables={"UPSTREAM": origin.url, "UPSTREAM_API_KEY": "sk-upstream"},
    )


class Clients(Protocol):
    """A client of `worker` for one of the keys of policy.yaml, by name."""

    def __call__(self, name: str) -> ChatClient: ...


@pytest.fixture
def client(worker: Workerd) -> Clients:
    """See Clients."""

    def make(name: str) -> ChatClient:
        return ChatClient(worker.host, worker.port, f"pw-test-{name}" if name else "")

    return make
