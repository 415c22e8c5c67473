"""The RPC methods, driven through a socket pair in this process."""

import json
import socket

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptward_kong.effects import PdkCall, Work
from promptward_kong.events import PASSED
from promptward_kong.loop import Loop
from promptward_kong.refusals import unavailable
from promptward_kong.server import PluginServer, ServerOptions, plugin_info


class Plugin:
    name, version, priority, phases = "p", "1.2.3", 5, ("access", "log")

    def __init__(self):
        self.closed = []

    def schema(self):
        return [{"a": {"type": "string"}}]

    def start(self, config):
        if "raise" in config:
            raise RuntimeError("planted")
        return Instance(self, config)


class Instance:
    def __init__(self, plugin, config):
        self.plugin, self.config = plugin, config

    def phase(self, name):
        return {"access": self.access, "log": self.log}[name]

    async def access(self, context):
        await PdkCall("kong.one", ())
        if self.config.get("work"):
            await Work("w", "i", None)
        return PASSED

    async def log(self, context):
        return PASSED

    def close(self):
        self.plugin.closed.append(self.config)


class Desk:
    """A server and Kong's end of one connection to it."""

    def __init__(self, **options):
        self.now_s = 0.0
        self.loop = Loop(lambda: self.now_s)
        self.plugin = Plugin()
        self.work = []
        self.server = PluginServer(
            self.loop,
            {"p": self.plugin},
            lambda work, deadline_s, done: self.work.append(done),
            ServerOptions(refusal=unavailable(), deadlines_s={}, **options),
            lambda: {"Tickets": 7},
        )
        self.kong, ours = socket.socketpair()
        self.kong.setblocking(False)
        self.server.accept(ours)
        self.unpacker = msgpack.Unpacker(strict_map_key=False, unicode_errors="surrogateescape")

    def send(self, method, argument, message_id=1):
        message = [0, message_id, method, [argument]]
        self.kong.sendall(msgpack.packb(message, unicode_errors="surrogateescape"))
        self.loop.turn()
        return self.answers()

    def answers(self):
        try:
            self.unpacker.feed(self.kong.recv(1 << 20))
        except BlockingIOError:
            return []
        return list(self.unpacker)

    def call(self, method, argument):
        ((_, _, error, result),) = self.send(method, argument)
        if error is not None:
            raise RuntimeError(error)
        return result

    def start(self, **config):
        return self.call("plugin.StartInstance", {"Name": "p", "Config": json.dumps(config)})["Id"]

    def begin(self, instance, phase="access"):
        return self.call("plugin.HandleEvent", {"InstanceId": instance, "EventName": phase})

    def close(self):
        self.kong.close()
        self.server.abort("end")
        self.loop.close()


@pytest.fixture
def desk_with():
    made = []

    def make(**options):
        made.append(Desk(**options))
        return made[-1]

    yield make
    for desk in made:
        desk.close()


@pytest.fixture
def desk(desk_with):
    return desk_with()


def refuses(result):
    data = result["Data"]
    return data["Method"] == "kong.response.exit" and data["Args"][0] == 503


def test_an_event_from_start_to_ret(desk):
    started = desk.begin(desk.start())
    assert started["Data"] == {"Method": "kong.one", "Args": []}
    assert desk.server.event_count == 1
    step = {"EventId": started["EventId"], "Data": "x"}
    assert desk.call("plugin.Step", step) == {"EventId": started["EventId"], "Data": "ret"}
    assert desk.server.event_count == 0


def test_ids_may_come_back_as_lua_numbers(desk):
    instance = desk.start()
    started = desk.begin(float(instance))
    assert desk.call("plugin.Step", {"EventId": float(started["EventId"])})["Data"] == "ret"
    desk.call("plugin.CloseInstance", float(instance))


def test_ids_begin_somewhere_else_every_time(desk_with):
    ids = {desk_with().start() for _ in range(5)}
    assert len(ids) == 5
    assert all(0 <= number < 2**53 for number in ids)


def test_a_configuration_is_never_sent_back(desk):
    answer = desk.call("plugin.StartInstance", {"Name": "p", "Config": '{"secret": "s3cr3t"}'})
    assert "s3cr3t" not in repr(answer)
    assert "s3cr3t" not in repr(desk.call("plugin.GetStatus", None))


@pytest.mark.parametrize("config", ["[]", "{}", '""', "null"])
def test_an_empty_lua_table_is_an_empty_configuration(desk, config):
    assert desk.call("plugin.StartInstance", {"Name": "p", "Config": config})["Id"]


@pytest.mark.parametrize(
    ("method", "argument", "reason"),
    [
        ("plugin.StartInstance", {"Name": "other", "Config": "{}"}, "not initialized"),
        ("plugin.StartInstance", {"Name": "p", "Config": "{"}, "internal error"),
        ("plugin.StartInstance", {"Name": "p", "Config": '{"raise": 1}'}, "internal error"),
        ("plugin.CloseInstance", 5, "no plugin instance"),
        ("plugin.InstanceStatus", 5, "no plugin instance"),
        ("plugin.Unknown", None, "not supported"),
        ("kong.x", None, "not supported"),
        ("", None, "not supported"),
    ],
)
def test_management_failures_are_errors(desk, method, argument, reason):
    with pytest.raises(RuntimeError, match=reason):
        desk.call(method, argument)


def test_an_unknown_instance_is_named_as_kong_expects(desk):
    with pytest.raises(RuntimeError, match=r"^no plugin instance #5$"):
        desk.call("plugin.HandleEvent", {"InstanceId": 5, "EventName": "access"})


@pytest.mark.parametrize(
    ("method", "argument"),
    [
        ("plugin.HandleEvent", None),
        ("plugin.HandleEvent", {}),
        ("plugin.HandleEvent", {"InstanceId": "x", "EventName": "access"}),
        ("plugin.HandleEvent", [1]),
        ("plugin.Step", None),
        ("plugin.Step", {"EventId": "x"}),
        ("plugin.Step", {"EventId": 1}),
        ("plugin.StepError", {"EventId": 1}),
        ("plugin.StepMultiMap", {"EventId": 1, "Data": {}}),
        ("plugin.StepWhatever", 5),
    ],
)
def test_what_belongs_to_a_request_is_refused_not_failed(desk, method, argument):
    assert refuses(desk.call(method, argument))


def test_a_phase_the_plugin_does_not_have_is_refused(desk):
    assert refuses(desk.begin(desk.start(), "response"))


def test_closing_an_instance_leaves_its_events_running(desk):
    instance = desk.start(a=1)
    started = desk.begin(instance)
    desk.call("plugin.CloseInstance", instance)
    assert desk.plugin.closed == [{"a": 1}]
    assert desk.call("plugin.Step", {"EventId": started["EventId"]})["Data"] == "ret"


def test_idle_instances_are_closed(desk_with):
    desk = desk_with(instance_idle_s=100.0)
    used, idle = desk.start(n=1), desk.start(n=2)
    desk.now_s = 99.0
    desk.begin(used)
    desk.now_s = 150.0
    desk.server.close_idle()
    assert desk.plugin.closed == [{"n": 2}]
    with pytest.raises(RuntimeError, match="no plugin instance"):
        desk.begin(idle)


def test_when_full_the_oldest_abandoned_event_gives_way(desk_with):
    desk = desk_with(max_events=3)
    instance = desk.start()
    events = [desk.begin(instance)["EventId"] for _ in range(4)]
    assert desk.server.event_count == 3
    assert refuses(desk.call("plugin.Step", {"EventId": events[0]}))
    assert desk.call("plugin.Step", {"EventId": events[3]})["Data"] == "ret"


def test_when_full_of_work_requests_are_refused(desk_with):
    desk = desk_with(max_events=1)
    instance = desk.start(work=True)
    event = desk.begin(instance)["EventId"]
    assert desk.send("plugin.Step", {"EventId": event}) == []  # a worker has it
    assert refuses(desk.begin(instance))


def test_a_draining_server_refuses_but_ends_what_it_began(desk):
    instance = desk.start()
    event = desk.begin(instance)["EventId"]
    desk.server.drain()
    assert refuses(desk.begin(instance))
    assert desk.begin(instance, "log")["Data"] == "ret"
    assert desk.call("plugin.Step", {"EventId": event})["Data"] == "ret"


def test_abort_answers_who_waits(desk):
    event = desk.begin(desk.start(work=True))["EventId"]
    desk.send("plugin.Step", {"EventId": event})
    desk.server.abort("stopping")
    ((_, _, error, result),) = desk.answers()
    assert error is None
    assert refuses(result)


def test_status_tells_what_operators_ask(desk):
    desk.start()
    status = desk.call("plugin.GetStatus", None)
    assert (status["Events"], status["Draining"], status["Tickets"]) == (0, False, 7)
    assert len(status["Plugins"]["p"]["Instances"]) == 1


def test_the_query_describes_the_plugin():
    info = plugin_info(Plugin())
    assert info["Schema"]["name"] == info["Name"] == "p"
    assert info["Schema"]["fields"][0]["config"]["fields"] == [{"a": {"type": "string"}}]


METHODS = st.sampled_from(
    ["plugin.HandleEvent", "plugin.Step", "plugin.StepError", "plugin.StepMultiMap", "plugin.StartInstance",
     "plugin.CloseInstance", "plugin.GetStatus", "plugin.Nonsense"]
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.binary(max_size=9)
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
# Arguments of the right shape, so that real events are met as well as nonsense
SHAPED = st.one_of(
    VALUES,
    st.fixed_dictionaries({"InstanceId": st.just("INSTANCE"), "EventName": st.sampled_from(["access", "log", "x"])}),
    st.fixed_dictionaries({"EventId": st.just("EVENT"), "Data": VALUES}),
    st.fixed_dictionaries({"Name": st.just("p"), "Config": st.sampled_from(["{}", "{", '{"work": 1}'])}),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(METHODS, SHAPED), max_size=12))
def test_whatever_kong_sends_no_request_goes_on_unchecked(calls):
    """Every RPC of a request is answered: with a PDK call, `ret` by an event that passed, or a
    refusal. Never with an error (Kong would let the request pass), except the one that makes Kong
    start the instance again."""
    desk = Desk()
    instance, event = desk.start(), -1
    try:
        for number, (method, argument) in enumerate(calls):
            if isinstance(argument, dict):
                argument = {  # noqa: PLW2901
                    k: instance if v == "INSTANCE" else event if v == "EVENT" else v
                    for k, v in argument.items()
                }
            answers = desk.send(method, argument, number)
            of_request = method.startswith(("plugin.HandleEvent", "plugin.Step"))
            for _, message_id, error, result in answers:
                assert message_id == number
                if not of_request:
                    continue
                if error is not None:
                    assert error.startswith("no plugin instance #")
                elif isinstance(result["Data"], dict) and result["Data"]["Method"] == "kong.one":
                    event = result["EventId"]
                else:
                    assert result["Data"] == "ret" or refuses(result)
            waiting = of_request and bool(desk.work)
            assert len(answers) == 1 or waiting
    finally:
        desk.close()
