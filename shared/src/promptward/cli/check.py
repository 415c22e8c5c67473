"""`promptward check`: what would the policy do with this exchange?

FILE is JSON: {"request": {"method", "path", "headers", "body"}, "response": {...optional}}. A body
is a string, or `body_base64`; headers are an object (values may be lists) or a list of pairs.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import json
import sys
from collections.abc import Mapping
from typing import Any, get_args

from promptward.cli.hosting import engine_for
from promptward.cli.reading import UnreadableError, read_policy, read_text
from promptward.cli.rendering import decision_json, response_json
from promptward.decision import Allow
from promptward.exchange import Body, Exchange, GatewayIdentity, GatewayMethod, Headers, Response
from promptward.spelling import did_you_mean
from promptward.sync import run_sync


def add_parser(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "check",
        help="decide one exchange from a file",
        description="Decide the exchange in FILE (JSON) under a policy and print the decision.",
        epilog="Exit codes: 0 allowed, 1 refused, 2 unreadable.",
    )
    parser.add_argument("--policy", required=True, metavar="POLICY", help="policy file")
    parser.add_argument(
        "--ledger",
        default="memory://",
        metavar="URL",
        help="budget ledger, for example sqlite:///path (default: memory://, forgotten at the end)",
    )
    parser.add_argument("file", metavar="FILE", help="the exchange, - for standard input")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    try:
        policy = read_policy(options.policy)
        request, response = _read_exchange(options.file)
        engine, close = engine_for(policy, options.ledger)
    except UnreadableError as error:
        print(f"promptward: {error}", file=sys.stderr)
        return 2
    try:
        decision = run_sync(engine.on_request(request))
        report = decision_json(decision, request)
        refused = not isinstance(decision, Allow)
        if isinstance(decision, Allow):
            report["reservations"] = [
                {"budget": name, "reserved": amount}
                for name, amount in decision.ticket.estimates.items()
            ]
            if response is not None:
                answer = run_sync(engine.on_response(decision.ticket, response))
                report["response"] = response_json(answer, response)
                refused = report["response"]["action"] == "deny"
    finally:
        close()
    print(json.dumps(report, indent=2, ensure_ascii=False))
    return 1 if refused else 0


def _read_exchange(path: str) -> tuple[Exchange, Response | None]:
    try:
        document = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise UnreadableError(f"{path}: line {error.lineno}: {error.msg}") from None
    except RecursionError:
        raise UnreadableError(f"{path}: nested too deeply") from None
    if not isinstance(document, dict) or not isinstance(document.get("request"), dict):
        raise UnreadableError(f'{path}: expected an object with "request"')
    response = document.get("response")
    if response is not None and not isinstance(response, dict):
        raise UnreadableError(f"{path}: response must be an object")
    return _request(document["request"], path), _response(response, path) if response else None


def _request(data: Mapping[str, Any], where: str) -> Exchange:
    return Exchange(
        method=str(data.get("method", "POST")).upper(),
        host=str(data.get("host", "localhost")),
        path=str(data.get("path", "/v1/chat/completions")),
        headers=_headers(data.get("headers"), where),
        body=_body(data, where),
        peer=str(data.get("peer", "")),
        route=str(data.get("route", "")),
        gateway_identity=_gateway_identity(data.get("gateway_identity"), where),
    )


def _gateway_identity(data: Any, where: str) -> GatewayIdentity | None:
    if not data:
        return None
    try:
        method, claims = data["method"], {**data["claims"]}
    except (KeyError, TypeError):
        message = 'gateway_identity must be {"method": text, "claims": object}'
        raise UnreadableError(f"{where}: {message}") from None
    known = get_args(GatewayMethod)
    if method not in known:
        hint = did_you_mean(str(method), known)
        message = f"gateway_identity.method: expected one of {', '.join(known)}{hint}"
        raise UnreadableError(f"{where}: {message}")
    return GatewayIdentity(method, claims)


def _response(data: Mapping[str, Any], where: str) -> Response:
    headers = _headers(data.get("headers"), where)
    if not headers.get_all("content-type"):
        headers = Headers((*headers.pairs, ("content-type", "application/json")))
    status = data.get("status", 200)
    if not isinstance(status, int) or not 100 <= status <= 599:
        raise UnreadableError(f"{where}: response.status must be a number from 100 to 599")
    return Response(status, headers, _body(data, where))


def _headers(data: Any, where: str) -> Headers:
    if data is None:
        return Headers((("content-type", "application/json"),))
    pairs = data.items() if isinstance(data, dict) else data
    try:
        return Headers(
            (str(name), str(value))
            for name, values in pairs
            for value in (values if isinstance(values, list) else [values])
        )
    except (TypeError, ValueError):
        raise UnreadableError(f"{where}: headers must be an object or a list of pairs") from None


def _body(data: Mapping[str, Any], where: str) -> Body:
    if "body_base64" in data:
        try:
            return Body(base64.b64decode(data["body_base64"], validate=True))
        except (binascii.Error, TypeError, ValueError):
            raise UnreadableError(f"{where}: body_base64 is not base64") from None
    body = data.get("body", "")
    if not isinstance(body, str):  # convenient by hand: a body written as JSON
        body = json.dumps(body, ensure_ascii=False)
    return Body(body.encode("utf-8", "surrogatepass"))
