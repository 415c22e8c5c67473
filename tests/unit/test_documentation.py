"""Pages link to what exists, and what they show as YAML is a policy that loads.

Commands of how-to pages are played elsewhere (`tests/integration`), as are docs/auth.md's tables.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from promptward.policy import lint, load_policy
from promptward.recognizers.catalogue import CATALOGUE
from promptward.testing.fakes import policy_with
from promptward_envoy.capabilities import ENVOY
from promptward_envoy.metrics import Metrics

ROOT = Path(__file__).parents[2]
FOLDERS = ("docs", "docs/adr", "shared", "envoy-ext-authz", "kong-plugins", "cloudflare-workers")
PAGES = sorted([*ROOT.glob("*.md"), *(p for f in FOLDERS for p in (ROOT / f).glob("*.md"))])
_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
# parts of the repository that pages name in code font; globs and placeholders are left out
_PATH = re.compile(
    r"`((?:shared|tests|docs|deploy|envoy-ext-authz|kong-plugins|cloudflare-workers|\.ci)/[\w./-]+)`"
)
_MADE_BY_RUNNING = ("tests/bench/out",)


def relative(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    return _FENCE.sub("", page.read_text("utf-8"))


def anchors(page: Path) -> set[str]:
    """As the usual renderers make them: lower case, punctuation dropped, blanks to hyphens."""
    headings = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", h) for h in _HEADING.findall(prose(page)))
    return {re.sub(r"[^\w\- ]", "", h.strip().lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in _LINK.findall(prose(page)):
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_path_exists(page: Path) -> None:
    named = [p for p in _PATH.findall(prose(page)) if not p.startswith(_MADE_BY_RUNNING)]
    assert [p for p in named if not (ROOT / p).exists()] == []


def test_every_page_is_within_reach_of_the_readme() -> None:
    seen: set[Path] = set()
    to_read = [ROOT / "README.md"]
    while to_read:
        page = to_read.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        links = (link.partition("#")[0] for link in _LINK.findall(prose(page)))
        to_read += [(page.parent / x).resolve() for x in links if x and not x.startswith("http")]
    assert [relative(p) for p in PAGES if p.parent.name in ("docs", "adr") and p not in seen] == []


def yaml_examples() -> Iterator[Any]:
    for page in PAGES:
        for number, (language, text) in enumerate(_FENCE.findall(page.read_text("utf-8"))):
            if language == "yaml":
                yield pytest.param(text, id=f"{relative(page)}-{number}")


def policy_of(example: str) -> str | None:
    """The policy that an example is, or that it is a part of; None when it is neither."""
    document = yaml.safe_load(example)
    if not isinstance(document, dict):
        return None
    if "apiVersion" in document:
        return example
    spec = document.get("spec", document)
    if "classifier" in spec:  # of a check
        spec = {"checks": [{"id": "pii", "type": "pii", "entities": [{"type": "PII"}], **spec}]}
    prices = spec.get("price_table"), spec.get("prices")
    if any(prices):  # a price is wanted for every model that callers may use
        rule = {"id": "r", "effect": "allow", "models": ["llama-3", "gpt-4o"]}
        spec = {"authorization": {"rules": [rule]}, **spec}
    return policy_with(**spec)


@pytest.mark.parametrize("example", [*yaml_examples()])
def test_every_policy_shown_loads(example: str, request: pytest.FixtureRequest) -> None:
    policy = policy_of(example)
    if policy is None:
        assert "how-to-kong" in request.node.name  # a plugin of Kong's, not a policy
        return
    load_policy(policy, lambda _name: "https://secret.example")


def test_the_readmes_policy_can_be_enforced_by_envoy() -> None:
    (text,) = [
        t for language, t in _FENCE.findall((ROOT / "README.md").read_text()) if language == "yaml"
    ]
    assert lint(load_policy(text).model, ENVOY) == []


def test_the_call_of_the_command_line_page_is_json() -> None:
    page = (ROOT / "docs/cli.md").read_text("utf-8")
    (call,) = re.findall(r"<<'JSON'\n(.*?)\nJSON", page, re.DOTALL)
    assert json.loads(json.loads(call)["request"]["body"])["model"] == "gpt-4o-mini"


def test_every_entity_is_on_its_page() -> None:
    page = (ROOT / "docs/detection-pii.md").read_text("utf-8")
    assert [e for e in CATALOGUE if f"`{e}`" not in page] == []


def test_every_metric_is_on_the_page() -> None:
    metrics = Metrics()
    shown = re.findall(r"^# HELP (promptward_\w+) ", metrics.render().decode(), re.MULTILINE)
    counted = {name for name in shown if not name.endswith("_created")}
    page = (ROOT / "docs/how-to-envoy.md").read_text("utf-8")
    assert counted == set(re.findall(r"^\| `(promptward_\w+)` \|", page, re.MULTILINE))
