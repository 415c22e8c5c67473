import json
from types import SimpleNamespace

import pytest

from promptward_kong.abandoned import AbandonedRequests
from promptward_kong.plugin import BUFFERED, PRIORITY, STREAMING, PromptwardPlugin
from promptward_kong.tickets import TicketStore


class Pool:
    def __init__(self):
        self.configs, self.removed, self.submitted, self.broadcasts = {}, [], [], []

    def add_instance(self, key, text):
        self.configs[key] = json.loads(text)

    def remove_instance(self, key, work):
        self.removed.append((key, work.kind))

    def broadcast(self, work, deadline_s):
        self.broadcasts.append((work.kind, work.instance))

    def submit(self, work, deadline_s, done):
        self.submitted.append((work.kind, work.instance, work.payload))


class Loop:
    def __init__(self):
        self.now, self.periodic = 0.0, []

    def now_s(self):
        return self.now

    def every(self, interval_s, run):
        self.periodic.append(run)


@pytest.fixture
def host():
    loop, pool = Loop(), Pool()
    abandoned = AbandonedRequests(pool.submit, loop.now_s)
    tickets = TicketStore(loop.now_s, abandoned.add)
    return SimpleNamespace(loop=loop, pool=pool, tickets=tickets, abandoned=abandoned)


def sweep(host, now_s):
    host.loop.now = now_s
    for run in host.loop.periodic:
        run()


def test_equal_configurations_share_one_key(host):
    plugin = PromptwardPlugin(STREAMING, host)
    one = plugin.start({"policy": "x", "__seq__": 1, "__plugin_id": "a"})
    two = plugin.start({"policy": "x", "__seq__": 9, "__plugin_id": "b", "route_id": "r"})
    other = plugin.start({"policy": "y"})
    assert one.key == two.key != other.key
    assert host.pool.configs[one.key] == [STREAMING, {"policy": "x"}]
    assert PromptwardPlugin(BUFFERED, host).start({"policy": "x"}).key != one.key


def test_an_engine_is_kept_while_requests_may_use_it(host):
    plugin = PromptwardPlugin(STREAMING, host)
    one, two = plugin.start({"policy": "x"}), plugin.start({"policy": "x"})
    one.close()
    sweep(host, 1000.0)
    assert host.pool.removed == []
    two.close()
    sweep(host, 1100.0)
    assert host.pool.removed == []
    sweep(host, 1000.0 + 361.0)
    assert host.pool.removed == [(one.key, "close")]


def test_an_engine_that_is_wanted_again_is_not_dropped(host):
    plugin = PromptwardPlugin(STREAMING, host)
    plugin.start({"policy": "x"}).close()
    plugin.start({"policy": "x"})
    sweep(host, 10_000.0)
    assert host.pool.removed == []


def test_a_policy_file_that_changed_gets_another_key(host, tmp_path):
    path = tmp_path / "p"
    path.write_text("one", "utf-8")
    plugin = PromptwardPlugin(STREAMING, host)
    phases = plugin.start({"policy_file": str(path)})
    assert phases._reread(phases.key) == phases.key
    path.write_text("two", "utf-8")
    assert phases._reread(phases.key) != phases.key
    assert [config["policy"] for _, config in host.pool.configs.values()] == ["one", "two"]


def test_workers_are_told_at_once(host):
    phases = PromptwardPlugin(STREAMING, host).start({"policy": "x"})
    assert host.pool.broadcasts == [("prepare", phases.key)]


def test_the_priority_is_between_authentication_and_rate_limiting():
    assert 910 < PRIORITY < 1250
    for name in (STREAMING, BUFFERED):
        assert PromptwardPlugin(name).priority == PRIORITY
