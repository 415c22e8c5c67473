"""The policy in force."""

from __future__ import annotations

from dataclasses import dataclass, field

from promptward.errors import PolicyError, PortError
from promptward.sync import run_sync
from promptward_worker.policies import MAX_POLICY_BYTES, PolicyStore, Source


@dataclass
class FakeKv:
    """A dictionary that can fail."""

    values: dict[str, str] = field(default_factory=dict)
    failing: bool = False
    reads: int = 0

    async def get(self, key: str) -> str | None:
        self.reads += 1
        if self.failing:
            raise PortError("kv", "down")
        return self.values.get(key)

    async def put(self, key: str, value: str, ttl_s: int = 0) -> None:
        if self.failing:
            raise PortError("kv", "down")
        self.values[key] = value


def load(text: str) -> str:
    if "bad" in text:
        raise PolicyError([f"bad policy of {len(text)}"])
    return f"loaded {text}"


class Bench:
    """One isolate's store over one KV namespace."""

    def __init__(self, kv: FakeKv | None, bundled: str | None = None) -> None:
        self.kv = kv
        self.bundled = bundled
        self.store: PolicyStore[str] = PolicyStore()
        self.reported: list[str] = []

    def at(self, now_s: float) -> str | None:
        source = Source(
            self.kv,
            "policy",
            lambda: self.bundled,
            30.0,
            load,
            lambda what, _: self.reported.append(what),
        )
        return run_sync(self.store.current(source, now_s))


def test_a_policy_from_kv_is_used_and_remembered() -> None:
    bench = Bench(FakeKv({"policy": "one"}))
    assert bench.at(0) == "loaded one"
    assert bench.kv is not None
    assert bench.kv.values["policy.last-good"] == "one"


def test_an_edit_is_picked_up_after_the_interval_and_not_before() -> None:
    kv = FakeKv({"policy": "one"})
    bench = Bench(kv)
    bench.at(0)
    kv.values["policy"] = "two"
    assert bench.at(29.9) == "loaded one"
    assert bench.at(30) == "loaded two"


def test_one_look_per_interval() -> None:
    kv = FakeKv({"policy": "one"})
    bench = Bench(kv)
    for now_s in range(30):
        bench.at(now_s)
    assert kv.reads == 2  # the policy and, once, its last good copy


def test_a_bad_edit_keeps_the_good_policy_and_is_reported_once() -> None:
    kv = FakeKv({"policy": "one"})
    bench = Bench(kv)
    bench.at(0)
    kv.values["policy"] = "bad"
    assert [bench.at(now_s) for now_s in (30, 60, 90)] == ["loaded one"] * 3
    assert bench.reported == ["policy_rejected"]
    kv.values["policy"] = "three"
    assert bench.at(120) == "loaded three"


def test_a_new_isolate_that_finds_a_bad_policy_starts_from_the_last_good_one() -> None:
    bench = Bench(FakeKv({"policy": "bad", "policy.last-good": "one"}))
    assert bench.at(0) == "loaded one"
    assert bench.reported == ["policy_rejected", "policy_last_good"]


def test_a_removed_policy_keeps_the_one_in_force() -> None:
    kv = FakeKv({"policy": "one"})
    bench = Bench(kv)
    bench.at(0)
    del kv.values["policy"]
    assert bench.at(30) == "loaded one"


def test_kv_down_keeps_the_policy_and_is_asked_again_soon() -> None:
    kv = FakeKv({"policy": "one"})
    bench = Bench(kv)
    bench.at(0)
    kv.failing = True
    assert bench.at(30) == "loaded one"
    kv.failing, kv.values["policy"] = False, "two"
    assert bench.at(34) == "loaded one"
    assert bench.at(35) == "loaded two"


def test_without_any_good_policy_there_is_none() -> None:
    assert Bench(FakeKv({"policy": "bad"})).at(0) is None
    assert Bench(FakeKv()).at(0) is None
    assert Bench(None).at(0) is None
    assert Bench(FakeKv(failing=True)).at(0) is None


def test_the_bundled_policy_serves_until_kv_has_one() -> None:
    kv = FakeKv()
    bench = Bench(kv, bundled="bundled")
    assert bench.at(0) == "loaded bundled"
    kv.values["policy"] = "one"
    assert bench.at(30) == "loaded one"
    assert Bench(None, bundled="bundled").at(0) == "loaded bundled"
    assert Bench(None, bundled="bad").at(0) is None


def test_a_huge_policy_is_not_read() -> None:
    bench = Bench(FakeKv({"policy": "x" * (MAX_POLICY_BYTES + 1)}))
    assert bench.at(0) is None
    assert bench.reported == ["policy_rejected"]
