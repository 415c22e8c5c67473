"""The REST adapter against a server that speaks the contract: what is asked, and every fault."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from promptward.errors import PortError
from promptward.ports import ClassifierQuery, ClassifierSpan
from promptward.testing.analyzer import AnalyzerServer, answer, word_analyzer
from promptward_ports.classifiers.analysis import CallFailedError, ServiceAwayError
from promptward_ports.classifiers.presidio_http import MAX_ANSWER_BYTES, PresidioHttp

WORDS = {"Ann Lee": "PERSON", "Paris": "LOCATION", "李雷": "PERSON"}


@pytest.fixture
def analyzer() -> Iterator[AnalyzerServer]:
    made = word_analyzer(WORDS)
    yield made
    made.close()


@pytest.fixture
def http() -> PresidioHttp:
    return PresidioHttp(connections=4)


def query(url: str, **changes: Any) -> ClassifierQuery:
    fields: dict[str, Any] = {
        "url": url,
        "model": "",
        "authorization": None,
        "language": "en",
        "entities": ("LOCATION", "PERSON"),
        "min_score": 0.4,
        "timeout_s": 5.0,
    }
    return ClassifierQuery(**fields | changes)


def ask(
    http: PresidioHttp, asked: ClassifierQuery, *texts: str, within_s: float = 5.0
) -> list[list[ClassifierSpan]]:
    return http(asked, texts, time.monotonic() + within_s)


def test_one_text_is_asked_as_every_version_of_the_analyzer_takes_it(
    analyzer: AnalyzerServer, http: PresidioHttp
) -> None:
    found = ask(http, query(analyzer.url), "Ann Lee in Paris")
    assert found == [
        [ClassifierSpan("PERSON", 0, 7, 0.85), ClassifierSpan("LOCATION", 11, 16, 0.85)]
    ]
    assert analyzer.asked == [
        {
            "text": "Ann Lee in Paris",
            "language": "en",
            "entities": ["LOCATION", "PERSON"],
            "score_threshold": 0.4,
        }
    ]


def test_several_texts_go_in_one_request(analyzer: AnalyzerServer, http: PresidioHttp) -> None:
    found = ask(http, query(analyzer.url, entities=("PERSON",)), "in Paris", "I am Ann Lee", "")
    assert found == [[], [ClassifierSpan("PERSON", 5, 12, 0.85)], []]
    assert [asked["text"] for asked in analyzer.asked] == [["in Paris", "I am Ann Lee", ""]]


def test_offsets_are_code_points_on_the_wire(analyzer: AnalyzerServer, http: PresidioHttp) -> None:
    text = "😀😀 李雷 👩‍👩‍👧 Paris"
    (found,) = ask(http, query(analyzer.url), text)
    assert sorted(text[s.start : s.end] for s in found) == ["Paris", "李雷"]


def test_connections_are_kept(analyzer: AnalyzerServer, http: PresidioHttp) -> None:
    for _ in range(5):
        ask(http, query(analyzer.url), "Ann Lee", "Paris")
    assert analyzer.connections == 1


def test_threads_share_it_and_answers_do_not_mix(
    analyzer: AnalyzerServer, http: PresidioHttp
) -> None:
    wrong: list[str] = []

    def run(number: int) -> None:
        for turn in range(10):
            text = "x" * (number * 10 + turn) + "Paris"
            ((span,),) = ask(http, query(analyzer.url), text)
            if text[span.start : span.end] != "Paris":
                wrong.append(text)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert analyzer.connections <= 8


def test_only_the_policys_credential_is_sent(
    analyzer: AnalyzerServer, http: PresidioHttp, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login u password p\n")
    monkeypatch.setenv("NETRC", str(netrc))
    ask(http, query(analyzer.url), "x")
    ask(http, query(analyzer.url, authorization="Bearer t"), "x")
    assert [h.get("authorization") for h in analyzer.headers] == [None, "Bearer t"]


def test_no_proxy_of_the_environment_sees_plain_http(
    analyzer: AnalyzerServer, http: PresidioHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    assert ask(http, query(analyzer.url), "Paris")[0]


def test_no_cookie_is_kept(analyzer: AnalyzerServer, http: PresidioHttp) -> None:
    analyzer.fault = answer([], set_cookie="a=b")
    ask(http, query(analyzer.url), "x")
    ask(http, query(analyzer.url), "x")
    assert "cookie" not in analyzer.headers[1]


SPAN = {"entity_type": "PERSON", "start": 0, "end": 1, "score": 0.5}
DEEP = b"[" * 100_000


@pytest.mark.parametrize(
    ("document", "texts", "reason"),
    [
        (b"", 1, "not JSON"),
        (b"<html>", 1, "not JSON"),
        (b"[{]", 1, "not JSON"),
        (b"\xff[]", 1, "not JSON"),
        (DEEP, 1, "not JSON"),
        ({"error": "x"}, 1, "not a list"),
        (None, 1, "not a list"),
        ([1], 1, "not an object"),
        ([[SPAN]], 1, "not an object"),
        ([SPAN], 2, "not a list"),
        ([{}], 1, "lacks"),
        ([{**SPAN, "entity_type": 1}], 1, "lacks"),
        ([{**SPAN, "entity_type": None}], 1, "lacks"),
        ([{**SPAN, "start": "0"}], 1, "lacks"),
        ([{**SPAN, "start": True}], 1, "lacks"),
        ([{**SPAN, "end": 1.0}], 1, "lacks"),
        ([{**SPAN, "end": None}], 1, "lacks"),
        ([{**SPAN, "score": "0.5"}], 1, "lacks"),
        ([{**SPAN, "score": True}], 1, "lacks"),
        ([{k: v for k, v in SPAN.items() if k != "score"}], 1, "lacks"),
    ],
)
def test_nonsense_is_no_answer(
    analyzer: AnalyzerServer, http: PresidioHttp, document: Any, texts: int, reason: str
) -> None:
    analyzer.fault = answer(document)
    with pytest.raises(CallFailedError, match=reason):
        ask(http, query(analyzer.url), *["canary-4711"] * texts)


def redirect(request: BaseHTTPRequestHandler) -> None:
    answer([], 307, location="/analyze")(request)


@pytest.mark.parametrize(
    ("fault", "error", "reason"),
    [
        (answer({"error": "boom"}, 500), CallFailedError, "answered 500"),
        (answer({"error": "bad"}, 400), CallFailedError, "answered 400"),
        (answer({"error": "no"}, 401), CallFailedError, "answered 401"),
        (answer([], 204), CallFailedError, "answered 204"),
        (redirect, CallFailedError, "answered 307"),
        (answer({}, 502), ServiceAwayError, "answered 502"),
        (answer({}, 503), ServiceAwayError, "answered 503"),
    ],
)
def test_anything_but_200_is_no_answer(
    analyzer: AnalyzerServer,
    http: PresidioHttp,
    fault: Any,
    error: type[PortError],
    reason: str,
) -> None:
    analyzer.fault = fault
    with pytest.raises(error, match=reason):
        ask(http, query(analyzer.url), "x")
    assert len(analyzer.asked) == 1


def test_an_answer_that_is_too_large_is_dropped(
    analyzer: AnalyzerServer, http: PresidioHttp
) -> None:
    analyzer.fault = answer(b"[" + b" " * MAX_ANSWER_BYTES + b"]")
    with pytest.raises(PortError, match=f"larger than {MAX_ANSWER_BYTES} bytes"):
        ask(http, query(analyzer.url), "x")


def hold(release: threading.Event) -> Callable[[BaseHTTPRequestHandler], None]:
    def wait(request: BaseHTTPRequestHandler) -> None:
        release.wait(30)
        request.close_connection = True

    return wait


def test_an_analyzer_that_hangs_is_given_up_at_the_deadline(
    analyzer: AnalyzerServer, http: PresidioHttp
) -> None:
    release = threading.Event()
    analyzer.fault = hold(release)
    began = time.monotonic()
    with pytest.raises(CallFailedError, match="ReadTimeout"):
        ask(http, query(analyzer.url), "x", within_s=0.2)
    assert time.monotonic() - began < 5
    release.set()


def test_an_analyzer_that_drips_is_given_up_at_the_deadline(
    analyzer: AnalyzerServer, http: PresidioHttp
) -> None:
    stop = threading.Event()

    def drip(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("content-length", "1000000")
        request.end_headers()
        while not stop.wait(0.02):
            request.wfile.write(b" ")
            request.wfile.flush()

    analyzer.fault = drip
    with pytest.raises(PortError, match="took too long"):
        ask(http, query(analyzer.url), "x", within_s=0.3)
    stop.set()


def test_an_answer_that_ends_early_is_no_answer(
    analyzer: AnalyzerServer, http: PresidioHttp
) -> None:
    def cut(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("content-length", "100")
        request.end_headers()
        request.wfile.write(b"[")
        request.close_connection = True

    analyzer.fault = cut
    with pytest.raises(CallFailedError):
        ask(http, query(analyzer.url), "x")


def hang_up(request: BaseHTTPRequestHandler) -> None:
    request.close_connection = True


def test_a_connection_that_breaks_is_tried_once_more(
    analyzer: AnalyzerServer, http: PresidioHttp
) -> None:
    def once(request: BaseHTTPRequestHandler) -> None:
        analyzer.fault = None
        hang_up(request)

    ask(http, query(analyzer.url), "x")
    analyzer.fault = once
    assert ask(http, query(analyzer.url), "Paris")[0]
    analyzer.fault = hang_up
    with pytest.raises(CallFailedError, match="ConnectionError"):
        ask(http, query(analyzer.url), "x")
    assert len(analyzer.asked) == 1 + 2 + 2


def test_nobody_listening_is_away(http: PresidioHttp) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(ServiceAwayError) as caught:
            ask(http, query(url), "canary-4711")
    assert "127.0.0.1" not in str(caught.value)
    assert "canary" not in str(caught.value)


def test_a_server_without_tls_is_away(analyzer: AnalyzerServer, http: PresidioHttp) -> None:
    with pytest.raises(ServiceAwayError, match="SSLError"):
        ask(http, query(analyzer.url.replace("http:", "https:")), "x")
    assert analyzer.asked == []


def test_no_time_left_asks_nothing(analyzer: AnalyzerServer, http: PresidioHttp) -> None:
    with pytest.raises(CallFailedError, match="no time"):
        ask(http, query(analyzer.url), "x", within_s=0.0)
    assert analyzer.asked == []


def test_a_path_in_front_is_kept(analyzer: AnalyzerServer, http: PresidioHttp) -> None:
    with pytest.raises(CallFailedError, match="answered 404"):
        ask(http, query(f"{analyzer.url}/prefix"), "x")
