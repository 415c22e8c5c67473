"""What the compose files, images and policies that people copy promise; no engine is needed."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from stacks.stack import COMPOSE, ROOT

from promptward.policy import lint, load_policy
from promptward_envoy.bootstrap import Bootstrap, envoy_config
from promptward_envoy.capabilities import ENVOY
from promptward_kong.capabilities import KONG_BUFFERED
from promptward_worker.capabilities import CLOUDFLARE

FILES = sorted(COMPOSE.glob("*/compose*.yaml"), key=str)
DOCKERFILES = {
    "promptward-envoy": ROOT / "envoy-ext-authz" / "Dockerfile",
    "promptward-kong": ROOT / "kong-plugins" / "Dockerfile",
    "promptward-worker": ROOT / "cloudflare-workers" / "Dockerfile",
}
DEFAULT = re.compile(r"\$\{[A-Z_]+:-(?P<default>[^}]+)\}")


def services() -> list[tuple[str, dict[str, Any]]]:
    """Every service of every compose file that is not only a reference to another."""
    found = []
    for file in FILES:
        document = yaml.safe_load(file.read_text())
        # compose.postgres.yaml also changes services of the file below it: those have no image.
        own = {n: s for n, s in document["services"].items() if "image" in s}
        found += [(f"{file.parent.name}/{file.stem}/{name}", s) for name, s in own.items()]
    return found


SERVICES = [pytest.param(service, id=name) for name, service in services()]


def test_every_stack_is_there() -> None:
    assert {f.parent.name for f in FILES} == {"all", "cloudflare", "envoy", "kong"}


@pytest.mark.parametrize("service", SERVICES)
def test_services_are_locked_down(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
    assert service["networks"][0] == "inside"
    assert not {"privileged", "cap_add", "network_mode", "pid", "devices"} & set(service)


@pytest.mark.parametrize("service", SERVICES)
def test_image_names_are_variables_with_a_public_default(service: dict[str, Any]) -> None:
    default = DEFAULT.fullmatch(service["image"])["default"]
    assert ":" in default
    assert "." not in default.partition(":")[0], "a registry host"


@pytest.mark.parametrize("service", SERVICES)
def test_services_have_a_health_check(service: dict[str, Any]) -> None:
    """Of their own, or of their image; a step that ends has none."""
    if service.get("restart") == "no":
        assert service["healthcheck"] == {"disable": True}
    elif "healthcheck" not in service:
        image = DEFAULT.fullmatch(service["image"])["default"].partition(":")[0]
        assert "\nHEALTHCHECK " in DOCKERFILES[image].read_text()


@pytest.mark.parametrize("service", SERVICES)
def test_only_loopback_is_published(service: dict[str, Any]) -> None:
    for port in service.get("ports", ()):
        assert re.fullmatch(r"127\.0\.0\.1:\$\{[A-Z]+_PORT:-\d+\}:\d+", port)
        assert "edge" in service["networks"]


@pytest.mark.parametrize("file", FILES, ids=str)
def test_inner_network_has_no_way_out(file) -> None:
    networks = yaml.safe_load(file.read_text()).get("networks")
    assert networks == {"inside": {"internal": True}, "edge": {}} or "postgres" in file.name


def test_all_is_made_of_the_other_stacks() -> None:
    document = yaml.safe_load((COMPOSE / "all" / "compose.yaml").read_text())
    for name, service in document["services"].items():
        other = COMPOSE / "all" / service["extends"]["file"]
        assert name in yaml.safe_load(other.read_text())["services"]
    assert {"envoy", "kong", "worker", "redis"} <= set(document["services"])


def test_envoy_runs_the_tested_configuration() -> None:
    ours = yaml.safe_load((COMPOSE / "envoy" / "envoy.yaml").read_text())
    settings = Bootstrap(
        ("0.0.0.0", 10000), ["a:9910", "b:9910"], "http://upstream:8080", "/run/envoy/admin.sock"
    )
    tested = envoy_config(settings)
    assert ours["admin"] == tested["admin"]
    assert manager(ours)["http_filters"] == manager(tested)["http_filters"]
    for name in ("use_remote_address", "normalize_path", "merge_slashes"):
        assert manager(ours)[name] == manager(tested)[name]
    service, tested_service = cluster(ours, "promptward"), cluster(tested, "promptward")
    where = {"type", "cluster_type", "load_assignment", "ignore_health_on_host_removal"}
    assert {k: v for k, v in service.items() if k not in where} == {
        k: v for k, v in tested_service.items() if k not in where
    }


def manager(config: Any) -> Any:
    """The HTTP connection manager of the one listener."""
    chain = config["static_resources"]["listeners"][0]["filter_chains"][0]
    return chain["filters"][0]["typed_config"]


def cluster(config: Any, name: str) -> Any:
    """A cluster by its name."""
    return next(c for c in config["static_resources"]["clusters"] if c["name"] == name)


@pytest.mark.parametrize(
    ("folder", "gateways"),
    [
        ("envoy", [ENVOY]),
        ("kong", [KONG_BUFFERED]),
        ("cloudflare", [CLOUDFLARE]),
        ("all", [ENVOY, KONG_BUFFERED, CLOUDFLARE]),
    ],
)
def test_policy_can_be_enforced(folder: str, gateways: list[Any]) -> None:
    policy = load_policy((COMPOSE / folder / "policy" / "policy.yaml").read_text())
    for gateway in gateways:
        assert list(lint(policy.model, gateway)) == []


def test_policies_differ_only_where_kong_needs_it() -> None:
    texts = {f.parts[-3]: f.read_text() for f in COMPOSE.glob("*/policy/policy.yaml")}
    assert texts["envoy"] == texts["cloudflare"]
    assert texts["kong"] == texts["all"]
    envoy, kong = yaml.safe_load(texts["envoy"]), yaml.safe_load(texts["kong"])
    assert kong["spec"].pop("streaming") == {"mode": "buffer"}
    assert envoy == kong


@pytest.mark.parametrize("file", DOCKERFILES.values(), ids=DOCKERFILES)
def test_images_are_pinned_by_argument_and_not_root(file) -> None:
    text = file.read_text()
    arguments = dict(re.findall(r"^ARG ([A-Z_]+_IMAGE)=(\S+)$", text, re.MULTILINE))
    stages = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert len(stages) == 2
    assert {s.strip("${}") for s in stages} == set(arguments)
    for default in arguments.values():
        assert re.fullmatch(r"[a-z/]+:\d[\w.-]*|debian:bookworm-slim", default)
    last = text.rpartition("\nFROM ")[2]
    assert re.findall(r"^USER (\S+)", last, re.MULTILINE)[-1] in {"10001:10001", "kong"}
    for needed in ("LABEL org.opencontainers.image.title", "HEALTHCHECK", "sbom"):
        assert needed in last


@pytest.mark.parametrize("file", DOCKERFILES.values(), ids=DOCKERFILES)
def test_images_copy_what_exists(file) -> None:
    text = file.read_text().replace("\\\n", " ")
    copied = re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE)
    assert copied
    for line in copied:
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source


def test_stand_ins_have_the_names_that_are_asked_for() -> None:
    """.ci/stand_ins.sh tags local images like the public ones."""
    engine = (ROOT / ".ci" / "stand_ins.sh").read_text()
    tags = set(re.findall(r"^ENGINE_[A-Z]+_IMAGE=(\S+)$", engine, re.MULTILINE))
    envoy = yaml.safe_load((COMPOSE / "envoy" / "compose.yaml").read_text())["services"]
    asked = {DEFAULT.fullmatch(envoy[name]["image"])["default"] for name in ("envoy", "redis")}
    for name in ("promptward-envoy", "promptward-worker"):
        text = DOCKERFILES[name].read_text()
        asked |= set(re.findall(r"^ARG [A-Z_]+_IMAGE=(\S+)$", text, re.MULTILINE))
    assert tags == asked
