import json
import time

import pytest

from promptward.errors import PolicyError, PortError
from promptward.policy import load_policy
from promptward.sync import run_sync
from promptward.testing.fakes import RecordedAudit
from promptward_kong.codec import RequestFacts, unpack_ticket
from promptward_kong.engines import EngineHost
from promptward_kong.jobs import Job
from promptward_ports.hosting import build_engine
from promptward_ports.ledgers import open_ledger

BODY = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'
BUDGET = {"id": "b", "unit": "requests", "limit": 5, "partition_by": ["model"]}
BUDGET["window"] = {"type": "fixed", "duration": "1d"}


def document(**spec):
    return json.dumps(
        {
            "apiVersion": "promptward/v1",
            "kind": "AISecurityPolicy",
            "metadata": {"name": "p"},
            "spec": {
                "identity": {"allow_anonymous": True},
                "authorization": {"default": "allow"},
                "budgets": [BUDGET],
                **spec,
            },
        }
    )


class Bench:
    def __init__(self):
        self.ledger = open_ledger("memory://", timeout_s=1.0)
        self.audit = RecordedAudit()
        self.built = []
        self.broken = False
        self.host = EngineHost(self.build)

    def build(self, config):
        self.built.append(config)
        if self.broken:
            raise PortError("ledger", "cannot be opened")
        if config == "bug":
            raise RuntimeError("the prompt")
        return build_engine(load_policy(config), self.ledger, self.audit)

    def job(self, kind, payload=None, *, config=None, deadline_s=60.0, instance="i"):
        return self.host.handle(Job(kind, instance, config, time.monotonic() + deadline_s, payload))

    def entries(self):
        return [(e.amount, str(e.state)) for e in run_sync(self.ledger.entries())]


def request(**changes):
    facts = {
        "method": "POST",
        "path": "/v1/chat/completions",
        "headers": [("content-type", "application/json")],
        "body": BODY,
        "complete": True,
        "route": "r",
        "claims": None,
        **changes,
    }
    return RequestFacts(**facts).pack()


@pytest.fixture
def bench():
    return Bench()


def test_a_configuration_is_compiled_once(bench):
    for _ in range(3):
        assert bench.job("prepare", config=document())["problems"] == []
    assert len(bench.built) == 1
    bench.job("close")
    bench.job("prepare", config=document())
    assert len(bench.built) == 2


@pytest.mark.parametrize(
    ("config", "reason"),
    [("{", "line 1"), ("bug", "internal error: RuntimeError")],
)
def test_a_configuration_that_cannot_be_loaded_has_problems_and_decides_nothing(
    bench, config, reason
):
    answer = bench.job("prepare", config=config)
    assert reason in answer["problems"][0]
    with pytest.raises(PolicyError):
        bench.job("request", request())


def test_a_store_that_cannot_be_opened_is_tried_again(bench):
    bench.broken = True
    for _ in range(2):
        with pytest.raises(PortError):
            bench.job("prepare", config=document())
    bench.broken = False
    assert bench.job("prepare", config=document())["problems"] == []


def test_an_instance_that_never_came_is_an_error(bench):
    with pytest.raises(LookupError):
        bench.job("request", request())


@pytest.mark.parametrize(
    ("spec", "route"),
    [
        ({}, False),
        ({"target": {"routes": ["chat*"]}}, True),
        ({"authorization": {"rules": [{"id": "a", "effect": "allow", "routes": ["x"]}]}}, True),
        ({"budgets": [BUDGET | {"partition_by": ["route"]}]}, True),
        ({"budgets": [BUDGET | {"routes": ["chat*"]}]}, True),
    ],
)
def test_needs_say_whether_a_rule_reads_the_route(bench, spec, route):
    assert bench.job("prepare", config=document(**spec))["route"] is route


def test_an_allowance_is_settled_by_what_follows(bench):
    kind, _, ticket, *_ = bench.job("request", request(), config=document())
    assert kind == "allow"
    assert bench.entries() == [(1, "open")]
    assert bench.job("unseen", [ticket, 200]) is None
    assert bench.entries() == [(1, "settled")]


def test_an_allowance_that_comes_too_late_is_given_back(bench):
    bench.job("prepare", config=document())
    with pytest.raises(TimeoutError):
        bench.job("request", request(), deadline_s=-1.0)
    assert bench.entries() == [(0, "settled")]


def test_a_lost_request_is_given_back(bench):
    ticket = bench.job("request", request(), config=document())[2]
    bench.job("lost", [ticket, "upstream_error"])
    assert bench.entries() == [(0, "settled")]


def test_an_abandoned_request_is_charged_and_recorded(bench):
    budget = BUDGET | {"unit": "total_tokens", "limit": 50000}
    budget["on_disconnect"] = "charge_delivered"
    config = document(budgets=[budget])
    tickets = [bench.job("request", request(), config=config)[2] for _ in range(2)]
    assert {state for _, state in bench.entries()} == {"open"}
    bench.job("abandoned", tickets)
    charged = unpack_ticket(tickets[0]).input_tokens
    assert charged > 0
    assert bench.entries() == [(charged, "settled")] * 2
    ends = [e["stream_end"] for e in bench.audit.events if e["phase"] == "response"]
    assert ends == ["end_unknown"] * 2


def test_a_body_that_was_not_fetched_is_refused_for_its_size(bench):
    kind, status, body, _ = bench.job(
        "request", request(body=b"", complete=False), config=document()
    )
    assert (kind, status) == ("deny", 413)
    assert json.loads(body)["error"]["code"] == "body_too_large"


def test_a_response_of_a_plan_that_passes_is_settled_unread(bench):
    ticket = bench.job("request", request(), config=document())[2]
    answer = bench.job("response", [ticket, 200, [("content-type", "text/plain")], b"anything"])
    assert answer == ["allow", [(), (), None]]
    assert bench.entries() == [(1, "settled")]


def test_a_response_that_must_be_read_and_cannot_be_is_refused(bench):
    checks = [{"id": "p", "type": "pii", "phase": ["response"]}]
    ticket = bench.job(
        "request", request(), config=document(checks=checks, streaming={"mode": "buffer"})
    )[2]
    kind, status, *_ = bench.job(
        "response", [ticket, 200, [("content-type", "application/json")], b"{"]
    )
    assert (kind, status) == ("deny", 502)
