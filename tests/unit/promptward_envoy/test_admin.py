"""The admin port over HTTP: who may ask what, and what is said."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import aiohttp
import pytest

from promptward.errors import PortError
from promptward.exchange import JSON
from promptward.ports import UsageRow, Window
from promptward_envoy.admin import AdminPort

ROW = UsageRow(
    "b1", "", "tokens", "principal=ann", "total_tokens", Window("fixed", 60), 9, 4, 1, 2.5
)


class View:
    """A scripted AdminView."""

    def __init__(self) -> None:
        self.ready = True
        self.problems: list[JSON] = []
        self.asked: list[tuple[str | None, str]] = []
        self.broken = False

    def status(self) -> Mapping[str, JSON]:
        return {"ready": self.ready, "policies": [], "problems": self.problems}

    async def reload(self) -> Sequence[str]:
        return [str(p) for p in self.problems]

    async def budgets(self, budget: str | None, containing: str) -> Sequence[UsageRow]:
        self.asked.append((budget, containing))
        if self.broken:
            raise PortError("ledger", "locked")
        return [ROW]

    def metrics(self) -> bytes:
        return b"promptward_x 1\n"


def ask(
    view: View,
    path: str,
    method: str = "GET",
    token: str = "",
    given: str | None = None,
    host: str = "127.0.0.1:9901",
):
    """Status and body of one request to a fresh admin port."""

    async def scenario():
        port = AdminPort(view, token)
        number = await port.start("127.0.0.1", 0)
        headers = {"host": host} | ({} if given is None else {"authorization": given})
        try:
            async with aiohttp.ClientSession() as client:
                url = f"http://127.0.0.1:{number}{path}"
                async with client.request(method, url, headers=headers) as answer:
                    is_json = "json" in answer.headers.get("content-type", "")
                    body = await answer.json() if is_json else await answer.text()
                    return answer.status, body
        finally:
            await port.stop()

    return asyncio.run(scenario())


def test_readiness_follows_the_view() -> None:
    view = View()
    assert ask(view, "/readyz") == (200, {"ready": True, "reload_failed": False})
    view.ready, view.problems = False, ["p"]
    assert ask(view, "/readyz") == (503, {"ready": False, "reload_failed": True})


def test_metrics_are_text() -> None:
    assert ask(View(), "/metrics", token="t") == (200, "promptward_x 1\n")


@pytest.mark.parametrize(
    "given", [None, "", "Bearer", "Bearer ", "Bearer x", "Basic t", "t", "Bearer t t", "Bearer té"]
)
def test_wrong_tokens(given) -> None:
    assert ask(View(), "/policy", token="t", given=given)[0] == 401


@pytest.mark.parametrize("given", ["Bearer t", "bearer t"])
def test_right_token(given) -> None:
    assert ask(View(), "/policy", token="t", given=given)[0] == 200


@pytest.mark.parametrize("path", ["/policy", "/budgets"])
@pytest.mark.parametrize("host", ["rebound.example:9901", "192.0.2.1", "localhost.example", "[x"])
def test_without_a_token_nobody_is_answered_under_another_name(path, host) -> None:
    assert ask(View(), path, host=host) == (421, {"error": "not_loopback"})
    assert ask(View(), path, token="t", given="Bearer t", host=host)[0] == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:9901", "[::1]:9901", "127.0.77.1:1"])
def test_without_a_token_loopback_names_are_answered(host) -> None:
    assert ask(View(), "/policy", host=host)[0] == 200


def test_reload_reports_problems() -> None:
    view = View()
    assert ask(view, "/policy/reload", "POST") == (200, {"reloaded": True, "problems": []})
    view.problems = ["spec: wrong"]
    assert ask(view, "/policy/reload", "POST") == (
        422,
        {"reloaded": False, "problems": ["spec: wrong"]},
    )
    assert ask(view, "/policy/reload", "GET")[0] == 405


def test_budgets_are_rows_by_partition() -> None:
    view = View()
    status, body = ask(view, "/budgets?budget=tokens&containing=ann")
    assert view.asked == [("tokens", "ann")]
    assert status == 200
    assert body["budgets"] == [
        {
            "bucket": "b1",
            "budget": "tokens",
            "partition": "principal=ann",
            "unit": "total_tokens",
            "limit": 9,
            "spent": 4,
            "reserved": 1,
            "reset_s": 2.5,
        }
    ]


def test_ledger_failure_is_said() -> None:
    view = View()
    view.broken = True
    assert ask(view, "/budgets") == (503, {"error": "locked"})


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "example.com"])
def test_other_address_than_loopback_needs_a_token(host) -> None:
    with pytest.raises(ValueError, match="token"):
        asyncio.run(AdminPort(View(), "").start(host, 0))
