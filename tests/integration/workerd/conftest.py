"""A real workerd for the tests: installed from lock files, started once per session."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from promptward_workerd import config, toolchain, vendor
from promptward_workerd.process import Workerd


@pytest.fixture(scope="session")
def tools() -> toolchain.Toolchain:
    try:
        return toolchain.ensure()
    except toolchain.ToolchainError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def worker_root(tools: toolchain.Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("worker")
    files = vendor.collect(toolchain.PROJECT / "src", tools.site)
    vendor.write(files, root)
    return root


@pytest.fixture(scope="session")
def workerd(
    tools: toolchain.Toolchain, worker_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Workerd]:
    names = tuple(f.name for f in vendor.collect(toolchain.PROJECT / "src", tools.site))
    settings = config.WorkerConfig(worker_root, names, tmp_path_factory.mktemp("state"))
    with Workerd(tools, config.write(settings), worker_root / "workerd.log") as process:
        yield process
