"""deploy/envoy is the configuration that is tested, and a real Envoy takes it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from promptward_envoy.bootstrap import Bootstrap, envoy_config, ext_authz_route

pytestmark = pytest.mark.envoy
DEPLOY = next(p for p in Path(__file__).parents if (p / "deploy").is_dir()) / "deploy" / "envoy"


def load(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text())


def shipped(**settings: Any) -> Any:
    base: dict[str, Any] = {
        "listen": ("0.0.0.0", 10000),
        "services": ["127.0.0.1:9910", "127.0.0.1:9911"],
        "upstream": "https://api.openai.com",
        "admin_socket": "/run/envoy/admin.sock",
    }
    return json.loads(json.dumps(envoy_config(Bootstrap(**{**base, **settings}))))


def manager(config: Any) -> Any:
    chain = config["static_resources"]["listeners"][0]["filter_chains"][0]
    return chain["filters"][0]["typed_config"]


def test_documented_configuration_is_the_tested_one() -> None:
    documented, ours = load("envoy.yaml"), shipped()
    documented_manager, our_manager = manager(documented), manager(ours)
    assert documented_manager["http_filters"] == our_manager["http_filters"]
    assert documented["static_resources"]["clusters"] == ours["static_resources"]["clusters"]
    plain = documented_manager["route_config"]["virtual_hosts"][0]["routes"][-1]
    ours_route = our_manager["route_config"]["virtual_hosts"][0]["routes"][0]
    assert plain == {k: v for k, v in ours_route.items() if v != {}}
    for config in (documented_manager, our_manager):
        del config["access_log" if "access_log" in config else "stat_prefix"]
        config.pop("route_config")
        config.pop("stat_prefix", None)
    assert documented_manager == our_manager


def test_documented_ext_authz_is_the_tested_one() -> None:
    documented = load("ext_authz.yaml")
    ours = manager(shipped(filters=("ext_authz",)))
    assert documented["http_filters"] == [ours["http_filters"][0]]
    extensions = {
        "promptward.max_request_bytes": "8388608",
        "promptward.policy": "strict",
        "promptward.route": "partners",
        "promptward.then": "ext_proc",
    }
    assert documented["typed_per_filter_config"] == ext_authz_route(extensions)
    # what the tests run on says the size for every route
    (host,) = ours["route_config"]["virtual_hosts"]
    size = {"promptward.max_request_bytes": extensions["promptward.max_request_bytes"]}
    assert host["typed_per_filter_config"] == ext_authz_route(size)


@pytest.mark.parametrize("name", ["envoy/envoy.yaml", "compose/envoy/envoy.yaml"])
def test_envoy_takes_the_documented_configuration(envoy_binary, name: str) -> None:
    done = subprocess.run(
        [str(envoy_binary), "--mode", "validate", "-c", str(DEPLOY.parent / name)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "OK" in said
    assert "eprecated" not in said
