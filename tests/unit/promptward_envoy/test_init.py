"""What importing the package does: choose how gRPC waits for its sockets."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SHOW = (
    "import promptward_envoy, os, sys;print('grpc' in sys.modules, os.environ['GRPC_EXPERIMENTS'])"
)


@pytest.mark.parametrize(
    ("given", "used"), [(None, "-event_engine_listener"), ("mine", "mine"), ("", "")]
)
def test_choice_is_made_before_grpc_is_imported_and_an_operators_own_wins(
    given: str | None, used: str
) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "GRPC_EXPERIMENTS"}
    if given is not None:
        environment["GRPC_EXPERIMENTS"] = given
    done = subprocess.run(
        [sys.executable, "-c", SHOW], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"False {used}\n"
