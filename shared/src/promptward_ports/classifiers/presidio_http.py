"""Microsoft Presidio's analyzer over its REST interface: POST /analyze.

Invariants: one request per call, on kept-alive connections; the answer is bounded in bytes and
time; redirects are not followed; the proxy environment counts for https only, `~/.netrc` never;
raises only PortError, whose text holds neither the address nor anything that was sent.

Contract (presidio-analyzer, app.py): the request is {text, language, entities, score_threshold}.
`text` is one string, or since 2.2.361 a list of them, answered by a list of lists. A span is
{entity_type, start, end, score, …} with offsets in code points (Python's str).
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
import urllib3.exceptions
from requests.adapters import HTTPAdapter

from promptward.ports import ClassifierQuery, ClassifierSpan
from promptward_ports.bounded_body import read_bounded
from promptward_ports.classifiers.analysis import PORT, CallFailedError, ServiceAwayError

MAX_ANSWER_BYTES = 8 << 20
"""A span takes about 250 bytes: 30,000 of them, far more than the texts of one call can hold."""

# answers of a proxy that cannot reach the analyzer; a text cannot cause them
_AWAY = (502, 503)
_FAILURES = (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError)


class PresidioHttp:
    """Asks REST analyzers; implements `Analyze`. Safe to share between threads.

    Args:
        connections: kept open per address, and used at once.
    """

    def __init__(self, connections: int) -> None:
        self._connections = connections
        self._sessions: dict[str, requests.Session] = {}
        self._lock = threading.Lock()

    def __call__(
        self, query: ClassifierQuery, texts: Sequence[str], deadline_s: float
    ) -> list[list[ClassifierSpan]]:
        """See `Analyze`."""
        body = json.dumps(
            {
                "text": texts[0] if len(texts) == 1 else list(texts),
                "language": query.language,
                "entities": list(query.entities),
                "score_threshold": query.min_score,
            }
        ).encode()
        answer = self._post(query, body, deadline_s)
        return [_spans(answer)] if len(texts) == 1 else [_spans(one) for one in _list(answer)]

    def _post(self, query: ClassifierQuery, body: bytes, deadline_s: float) -> object:
        try:
            data = self._send(query, body, deadline_s)
        except requests.ConnectionError as error:
            if _is_away(error):
                raise ServiceAwayError(f"the analyzer failed: {type(error).__name__}") from error
            # a kept-alive connection that the analyzer closed in that moment: once more
            data = self._send_again(query, body, deadline_s)
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise CallFailedError("the answer is not JSON") from error

    def _send_again(self, query: ClassifierQuery, body: bytes, deadline_s: float) -> bytes:
        try:
            return self._send(query, body, deadline_s)
        except requests.ConnectionError as error:
            kind = ServiceAwayError if _is_away(error) else CallFailedError
            raise kind(f"the analyzer failed: {type(error).__name__}") from error

    def _send(self, query: ClassifierQuery, body: bytes, deadline_s: float) -> bytes:
        """One request.

        Raises:
            requests.ConnectionError: no answer began.
            PortError: anything else.
        """
        headers = {"content-type": "application/json", "accept": "application/json"}
        if query.authorization is not None:
            headers["authorization"] = query.authorization
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            raise CallFailedError("no time was left to ask")
        try:
            with self._session(query.url).post(
                f"{query.url}/analyze",
                data=body,
                headers=headers,
                timeout=left_s,
                allow_redirects=False,
                stream=True,
            ) as response:
                if response.status_code != 200:
                    kind = ServiceAwayError if response.status_code in _AWAY else CallFailedError
                    raise kind(f"the analyzer answered {response.status_code}")
                return read_bounded(
                    response, port=PORT, max_bytes=MAX_ANSWER_BYTES, deadline_s=deadline_s
                )
        except requests.ConnectionError:
            raise
        except _FAILURES as error:
            raise CallFailedError(f"the analyzer failed: {type(error).__name__}") from error

    def _session(self, url: str) -> requests.Session:
        with self._lock:
            session = self._sessions.get(url)
            if session is None:
                session = self._sessions[url] = _new_session(url, self._connections)
            return session


def _is_away(error: requests.ConnectionError) -> bool:
    """Whether no connection came about; not whether one broke, which a text can cause."""
    if isinstance(error, requests.ConnectTimeout | requests.exceptions.SSLError):
        return True
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(reason, urllib3.exceptions.NewConnectionError)


def _new_session(url: str, connections: int) -> requests.Session:
    session = requests.Session()
    session.auth = _as_it_is
    session.trust_env = url.startswith("https:")
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    adapter = HTTPAdapter(pool_connections=1, pool_maxsize=connections, pool_block=True)
    session.mount(url, adapter)
    return session


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Stands in for credentials of `~/.netrc`."""
    return request


def _spans(answer: object) -> list[ClassifierSpan]:
    return [_span(item) for item in _list(answer)]


def _span(item: object) -> ClassifierSpan:
    if not isinstance(item, dict):
        raise CallFailedError("a span is not an object")
    entity, start, end = item.get("entity_type"), item.get("start"), item.get("end")
    score: Any = item.get("score")
    fits = (
        isinstance(entity, str)
        and all(isinstance(n, int) and not isinstance(n, bool) for n in (start, end))
        and isinstance(score, int | float)
        and not isinstance(score, bool)
    )
    if not fits:
        raise CallFailedError("a span lacks its entity, place or score")
    return ClassifierSpan(str(entity), int(start or 0), int(end or 0), float(score))


def _list(answer: object) -> list[Any]:
    if not isinstance(answer, list):
        raise CallFailedError("the answer is not a list")
    return answer
