"""deploy/kong and docs: every example is what the code says it is, and does what it promises."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from promptward.errors import PolicyError
from promptward.policy import lint, load_policy
from promptward_kong.capabilities import KONG, KONG_BUFFERED
from promptward_kong.cli import main
from promptward_kong.config import own_config, read_config
from promptward_kong.testing.kong_schema import Configurations, info_problems
from promptward_kong.testing.lua import lua_match

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy/kong"
CONFS = ("kong.conf", "kong-external.conf")


def conf(name: str) -> dict[str, str]:
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",))
    parser.read_string("[kong]\n" + (DEPLOY / name).read_text("utf-8"))
    return dict(parser["kong"])


def plugins_of(path: Path) -> list[dict[str, Any]]:
    """Every plugin entity in a declarative file or in KongPlugin manifests."""
    found: list[dict[str, Any]] = []

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if value.get("kind") == "KongPlugin":
                found.append({"name": value["plugin"], "config": value.get("config", {})})
            found.extend(
                {"name": plugin["name"], "config": plugin.get("config", {})}
                for plugin in value.get("plugins", [])
            )
            for item in value.values():
                walk(item)
        elif isinstance(value, list):
            for item in value:
                walk(item)

    for document in yaml.safe_load_all(path.read_text("utf-8")):
        walk(document)
    return found


OURS = [
    (path.name, plugin)
    for path in (DEPLOY / "kong.yml", DEPLOY / "kubernetes/kongplugin.yaml")
    for plugin in plugins_of(path)
    if plugin["name"] in ("promptward", "promptward-buffered")
]


def problems_of(name: str, config: dict[str, Any]) -> list[str]:
    """What the worker would say about a configuration."""
    gateway = KONG_BUFFERED if name == "promptward-buffered" else KONG
    try:
        policy = load_policy(read_config(own_config(config)).policy_text)
    except PolicyError as error:
        return list(error.problems)
    return [str(finding) for finding in lint(policy.model, gateway)]


@pytest.fixture(scope="module")
def kong() -> Configurations:
    """What Kong makes of a configuration, from the answer to its query."""
    out = subprocess.run(
        [sys.executable, "-m", "promptward_kong", "dump"], capture_output=True, check=True
    ).stdout
    (info,) = json.loads(out)
    assert info_problems(info, lua_match()) == []
    return Configurations(info["Schema"], lua_match())


def test_there_are_examples():
    assert len(OURS) >= 3


@pytest.mark.parametrize(("file", "plugin"), OURS)
def test_an_example_configuration_is_valid_for_kong_and_can_be_enforced(file, plugin, kong):
    assert kong.problems(plugin["config"]) == []
    assert problems_of(plugin["name"], kong.sent(plugin["config"])) == []


def test_what_curl_posts_is_valid_for_kong_and_can_be_enforced(kong):
    """The JSON bodies in curl.sh, commented out ones too."""
    text = (DEPLOY / "curl.sh").read_text("utf-8").replace("\n#", "\n")
    bodies = [json.loads(body) for body in re.findall(r"-d '(\{.*?\})'", text, re.DOTALL)]
    ours = [b for b in bodies if b.get("name") in ("promptward", "promptward-buffered")]
    assert ours
    for body in ours:
        assert kong.problems(body["config"]) == []
        assert problems_of(body["name"], kong.sent(body["config"])) == []


@pytest.mark.parametrize("file", ["kong.yml", "kubernetes/kongplugin.yaml"])
def test_every_guarded_route_has_the_gate(file):
    names = [plugin["name"] for plugin in plugins_of(DEPLOY / file)]
    guards = sum(name in ("promptward", "promptward-buffered") for name in names)
    assert names.count("promptward-gate") == guards


def test_the_example_policy_can_be_enforced():
    assert main(["check", str(DEPLOY / "policy.yaml")]) == 0


@pytest.mark.parametrize("file", CONFS)
def test_kong_conf_names_what_exists(file):
    settings = conf(file)
    assert {"bundled", "promptward", "promptward-buffered", "promptward-gate"} == set(
        settings["plugins"].split(",")
    )
    names = settings["pluginserver_names"].split(",")
    # Kong runs /usr/local/bin/<name> when a name has no start_cmd
    assert not set(names) & {"promptward", "promptward-kong"}
    dumped = []
    for name in names:
        command = shlex.split(settings[f"pluginserver_{name}_query_cmd"])
        assert command[0] == "/opt/promptward/bin/promptward-kong"
        out = subprocess.run(
            [sys.executable, "-m", "promptward_kong", *command[1:]], capture_output=True, check=True
        ).stdout
        (info,) = yaml.safe_load(out)
        dumped.append(info["Name"])
    assert dumped == ["promptward", "promptward-buffered"]
    assert len({settings[f"pluginserver_{name}_socket"] for name in names}) == 1


def test_only_the_managed_configuration_starts_the_server():
    started = {file: [key for key in conf(file) if key.endswith("_start_cmd")] for file in CONFS}
    assert started == {
        "kong.conf": ["pluginserver_promptward_kong_start_cmd"],
        "kong-external.conf": [],
    }


@pytest.mark.parametrize(
    ("file", "pattern"),
    [
        ("kong.conf", r"start_cmd = (.*)"),
        ("promptward-kong.service", r"ExecStart=(.*)"),
        ("../../kong-plugins/Dockerfile", r'START_CMD="([^"]*)"'),
        ("kubernetes/values.yaml", r"start_cmd: (.*)"),
    ],
)
def test_start_commands_are_understood(file, pattern):
    (line,) = re.findall(pattern, (DEPLOY / file).read_text("utf-8"))
    program, command, *rest = shlex.split(line)
    assert (program, command) == ("/opt/promptward/bin/promptward-kong", "serve")
    from promptward_kong.cli import _parser

    options = _parser().parse_args(["serve", *rest])
    assert options.socket is not None


def test_the_image_sets_what_kong_conf_sets():
    text = (DEPLOY / "../../kong-plugins/Dockerfile").read_text("utf-8")
    text = text.partition("ENV KONG_")[2]
    environment = dict(re.findall(r'(KONG_[A-Z_]+)="?([^"\\\n]*?)"?(?: \\)?\n', text))
    expected = {f"KONG_{key.upper()}": value for key, value in conf("kong.conf").items()}
    assert set(expected) <= set(environment)
    # sockets and files have other places in a container with a read-only root
    same = [name for name in expected if not re.search("SOCKET|START_CMD|LUA_PACKAGE", name)]
    assert {n: environment[n] for n in same} == {n: expected[n] for n in same}


def test_scripts_are_shell():
    for script in ("curl.sh", "run-kong.sh"):
        assert subprocess.run(["sh", "-n", str(DEPLOY / script)], check=False).returncode == 0


def test_the_gate_is_installed_where_kong_looks():
    with tempfile.TemporaryDirectory() as directory:
        assert main(["gate", "--to", directory]) == 0
        for name in ("handler", "schema"):
            installed = Path(directory, *f"kong.plugins.promptward-gate.{name}".split("."))
            source = ROOT / f"kong-plugins/promptward-gate/{name}.lua"
            assert installed.with_suffix(".lua").read_bytes() == source.read_bytes()
