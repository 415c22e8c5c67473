"""The guarded origin: where it is, and how a request gets there.

Three ways, chosen by the variable UPSTREAM: on a route `fetch` of the request's own URL reaches
the zone's origin; a service binding; a base URL. Redirects are handed to the client, never
followed with its credentials.
"""

from __future__ import annotations

import js
from pyodide.ffi import JsException

from promptward.errors import PortError
from promptward.values import value_object
from promptward_worker import javascript
from promptward_worker.settings import BOUND_ORIGIN, ROUTE_ORIGIN, WorkerSettings


@value_object(frozen=True, slots=True)
class Outgoing:
    """The request as it goes to the origin."""

    method: str
    headers: list[tuple[str, str]]
    body: bytes | None


def upstream_url(settings: WorkerSettings, request_url: str, path: str) -> str:
    """The URL to fetch: base URL plus the request's path and query, or the request's own URL."""
    if settings.upstream in {ROUTE_ORIGIN, BOUND_ORIGIN}:
        return request_url
    return settings.upstream + path


def credential(settings: WorkerSettings) -> tuple[tuple[str, str], ...]:
    """The header with the upstream's key, if the Worker has one."""
    if not settings.upstream_api_key:
        return ()
    name = settings.upstream_api_key_header
    prefix = "Bearer " if name == "authorization" else ""
    return ((name, prefix + settings.upstream_api_key),)


async def send(
    settings: WorkerSettings,
    binding: js.Fetcher | None,
    url: str,
    outgoing: Outgoing,
    max_bytes: int,
) -> javascript.Answered:
    """Forward the request and wait for the response.

    Args:
        binding: the service binding ORIGIN, if there is one.
        url: see `upstream_url`.
        max_bytes: as in `javascript.send`.

    Raises:
        PortError: no answer in `upstream_timeout_s`, or the origin cannot be reached.
    """
    bound = None
    if settings.upstream == BOUND_ORIGIN:
        if binding is None:
            raise PortError("upstream", "UPSTREAM is `binding` but there is no service ORIGIN")
        bound = binding
    method, headers, body = outgoing.method, outgoing.headers, outgoing.body
    timeout_s = settings.upstream_timeout_s
    try:
        return await javascript.send(bound, url, method, headers, body, timeout_s, max_bytes)
    except TimeoutError as error:
        raise PortError("upstream", "no response headers in time") from error
    except JsException as error:
        raise PortError("upstream", "unreachable") from error
