"""`make run-kong` up to Kong itself, which is a FAKE here: no Kong is in a package registry.

The fake reads the settings as Kong does, asks and starts the plugin server as Kong would (without
an environment), writes down what it saw, and proxies nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
FAKE_KONG = """\
import json, os, shlex, subprocess, sys, time
from pathlib import Path

if sys.argv[1] == "stop":
    sys.exit(0)
kong = {name[5:].lower(): value for name, value in os.environ.items() if name[:5] == "KONG_"}
ask = [value for name, value in sorted(kong.items()) if name.endswith("_query_cmd")]
described = [subprocess.run(shlex.split(c), env={}, capture_output=True, check=True) for c in ask]
(run,) = [value for name, value in kong.items() if name.endswith("_start_cmd")]
server = subprocess.Popen(shlex.split(run), env={})
socket = kong["pluginserver_promptward_kong_socket"]
program = shlex.split(run)[0]
ready = [program, "ready", "--socket", socket]
until = time.monotonic() + 60
while (answered := subprocess.run(ready, env={}).returncode) and time.monotonic() < until:
    pass
server.terminate()
Path(os.environ["SEEN"]).write_text(json.dumps({
    "settings": kong,
    "plugins": [json.loads(d.stdout)[0]["Name"] for d in described],
    "config": Path(kong["declarative_config"]).read_text(),
    "gate": sorted(p.name for p in Path(kong["prefix"]).rglob("*.lua")),
    "ready": answered,
    "stopped": server.wait(30),
}))
"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a Kong would see of the script."""
    directory = tmp_path_factory.mktemp("run-kong")
    (directory / "fake_kong.py").write_text(FAKE_KONG)
    kong = directory / "kong"
    kong.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{directory}/fake_kong.py" "$@"\n')
    kong.chmod(0o755)
    environ = {
        **os.environ,
        "PATH": f"{directory}:{os.environ['PATH']}",
        "SEEN": str(directory / "seen.json"),
        "UPSTREAM": "http://127.0.0.1:9",
    }
    done = subprocess.run(
        ["sh", str(ROOT / "deploy/kong/run-kong.sh")],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads((directory / "seen.json").read_text())
    return found


def test_the_plugin_server_starts_answers_and_stops(seen: dict[str, Any]) -> None:
    assert seen["plugins"] == ["promptward-buffered", "promptward"]
    assert seen["ready"] == 0
    assert seen["stopped"] == 0


def test_every_plugin_of_the_configuration_is_enabled(seen: dict[str, Any]) -> None:
    enabled = seen["settings"]["plugins"].split(",")
    config = yaml.safe_load(seen["config"])
    routes = [route for service in config["services"] for route in service["routes"]]
    named = {plugin["name"] for route in routes for plugin in route["plugins"]}
    assert named - {"key-auth"} <= set(enabled)
    assert seen["gate"] == ["handler.lua", "schema.lua"]


def test_the_upstream_is_the_one_that_was_asked_for(seen: dict[str, Any]) -> None:
    config = yaml.safe_load(seen["config"])
    assert {service["url"] for service in config["services"]} == {"http://127.0.0.1:9"}


def test_nothing_is_left_behind(seen: dict[str, Any]) -> None:
    assert not Path(seen["settings"]["prefix"]).exists()


def test_without_kong_it_says_where_to_look(tmp_path: Path) -> None:
    done = subprocess.run(
        ["/bin/sh", str(ROOT / "deploy/kong/run-kong.sh")],
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 1
    assert "docs/how-to-kong.md" in done.stderr
