import pytest

from promptward_kong.effects import PdkCall, Work, WorkError
from promptward_kong.events import PASSED, Event, Limits, PhaseContext, Refusal, State

REFUSAL = Refusal(503, b"no", {"content-type": "text/plain"})


class Desk:
    """Everything around one event: replies, submitted work, a clock."""

    def __init__(self, coroutine, *, guarded=True, limits=None):
        self.replies, self.work, self.forgotten, self.now_s = [], [], [], 100.0
        self.context = PhaseContext(REFUSAL)
        self.event = Event(
            id=5,
            phase="access",
            guarded=guarded,
            coroutine=coroutine(self.context),
            context=self.context,
            limits=limits or Limits(),
            submit=lambda work, deadline_s, done: self.work.append((work, deadline_s, done)),
            now_s=lambda: self.now_s,
            forget=self.forgotten.append,
        )
        self.event.start(self.replies.append)

    @property
    def last(self):
        return self.replies[-1]["Data"]

    def step(self, data=None, failed=False):
        return self.event.step(self.replies.append, data, failed)


async def two_calls(context):
    assert await PdkCall("kong.a", (1,)) == "one"
    await PdkCall("kong.b", ())
    return PASSED


async def one_job(context):
    assert await Work("job", "i", None) == "done"
    return PASSED


def test_calls_alternate_with_steps_until_ret():
    desk = Desk(two_calls)
    assert desk.last == {"Method": "kong.a", "Args": [1]}
    assert desk.step("one")
    assert desk.last["Method"] == "kong.b"
    assert desk.step()
    assert desk.last == "ret"
    assert all(reply["EventId"] == 5 for reply in desk.replies)
    assert desk.forgotten == [desk.event]


def test_work_is_submitted_with_the_deadline_of_its_rpc():
    desk = Desk(one_job, limits=Limits(answer_s=3.0))
    ((work, deadline_s, done),) = desk.work
    assert (work.kind, deadline_s) == ("job", 103.0)
    assert desk.replies == []
    done("done")
    assert desk.last == "ret"


@pytest.mark.parametrize("result", [WorkError("died"), ValueError("x"), "unexpected"])
def test_failed_work_refuses(result):
    desk = Desk(one_job)
    desk.work[0][2](result)
    assert desk.last == REFUSAL.call()
    assert len(desk.replies) == 1


def test_an_unguarded_phase_is_ended_instead_of_refused():
    desk = Desk(one_job, guarded=False)
    desk.work[0][2](WorkError("died"))
    assert desk.last == "ret"


def test_a_passed_deadline_refuses_once_and_late_results_go_to_late():
    desk = Desk(one_job)
    late = []
    desk.context.late = late.append
    desk.now_s = 119.9
    desk.event.expire(desk.now_s)
    assert desk.replies == []
    desk.event.expire(120.1)
    assert desk.last == REFUSAL.call()
    desk.work[0][2]("late answer")
    assert late == ["late answer"]
    assert len(desk.replies) == 1
    assert desk.forgotten == [desk.event]


def test_an_event_kong_abandoned_is_forgotten_without_a_reply():
    desk = Desk(two_calls)
    desk.event.expire(161.0)
    assert desk.event.state is State.DONE
    assert len(desk.replies) == 1
    assert not desk.step("one")


def test_the_upload_of_a_body_gets_more_time():
    async def body(context):
        await PdkCall("kong.request.get_raw_body", (0,))
        return PASSED

    desk = Desk(body)
    desk.event.expire(161.0)
    assert desk.event.state is State.WAIT_KONG


def test_a_step_that_nobody_waits_for_is_not_taken():
    desk = Desk(one_job)
    assert not desk.step("x")
    assert desk.event.state is State.WAIT_WORK


def test_an_error_step_is_raised_in_the_phase_and_refuses():
    desk = Desk(two_calls)
    assert desk.step("text", failed=True)
    assert desk.last == REFUSAL.call()


def test_a_terminal_call_ends_the_event_and_closes_the_phase():
    closed = []

    async def exits(context):
        try:
            await PdkCall("kong.response.exit", (403,))
        finally:
            closed.append(True)

    desk = Desk(exits)
    assert desk.last == {"Method": "kong.response.exit", "Args": [403]}
    assert desk.forgotten == [desk.event]
    assert closed == [True]


@pytest.mark.parametrize("result", [None, True, "passed", 0])
def test_only_passed_passes(result):
    async def returns(context):
        return result

    assert Desk(returns).last == REFUSAL.call()


def test_the_refusal_in_the_context_is_the_one_that_is_sent():
    async def fails(context):
        context.refusal = Refusal(503, b"mine", {})
        raise ValueError

    assert Desk(fails).last["Args"][1] == b"mine"


def test_a_reply_that_cannot_be_packed_becomes_a_refusal():
    sent = []

    def reply(result):
        if result["Data"] != REFUSAL.call():
            raise TypeError("cannot pack")
        sent.append(result)

    event = Desk(one_job).event

    async def bad(context):
        await PdkCall("kong.x", (object(),))
        return PASSED

    event = Event(
        1,
        "access",
        True,
        bad(None),
        PhaseContext(REFUSAL),
        Limits(),
        None,
        lambda: 0.0,
        lambda _: None,
    )
    event.start(reply)
    assert sent == [{"EventId": 1, "Data": REFUSAL.call()}]
    assert event.state is State.DONE
