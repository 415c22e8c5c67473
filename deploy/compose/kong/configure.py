"""Tell Kong about the route and its plugins through the Admin API; the compose files run it once.

    python configure.py --admin http://kong:8001 --policy policy.yaml --upstream http://upstream:8080

With a database every object is put under a fixed id, so that running it again changes nothing but
the policy. Without one Kong takes its whole configuration at once (POST /config). Standard library
only. Source: https://developer.konghq.com/api/gateway/admin-oss/
"""

from __future__ import annotations

import argparse
import http.client
import json
import sys
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path

JSON = dict[str, object]

_START_S = 60.0
_CALL_S = 30.0  # a new policy is checked by the plugin server before Kong answers
_PLUGIN = "promptward-buffered"  # also checks answers; `promptward` checks requests only
_GATE = "promptward-gate"


def object_id(name: str) -> str:
    """The id of one of our objects: the same in every run."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"https://promptward.dev/kong/{name}"))


def route_objects(policy: str, upstream: str) -> tuple[JSON, JSON, list[JSON]]:
    """The service, its route, and the route's plugins."""
    service: JSON = {"id": object_id("service"), "name": "llm", "url": upstream}
    route: JSON = {
        "id": object_id("route"),
        "name": "llm",
        "paths": ["/v1"],
        "strip_path": False,
        "protocols": ["http", "https"],
    }
    guard: JSON = {"id": object_id(_PLUGIN), "name": _PLUGIN, "config": {"policy": policy}}
    # Refuses what carries no verdict: Kong passes requests when the plugin server is down.
    gate: JSON = {"id": object_id(_GATE), "name": _GATE}
    return service, route, [guard, gate]


def call(admin: str, method: str, path: str, body: JSON) -> None:
    """One call of the Admin API.

    Raises:
        urllib.error.HTTPError: Kong refuses.
    """
    request = urllib.request.Request(  # noqa: S310 - the operator's own address
        admin + path,
        data=json.dumps(body).encode(),
        method=method,
        headers={"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=_CALL_S) as answer:  # noqa: S310
        answer.read()


def configure_database(admin: str, policy: str, upstream: str) -> None:
    """Put every object under its id."""
    service, route, plugins = route_objects(policy, upstream)
    call(admin, "PUT", f"/services/{service['id']}", service)
    call(admin, "PUT", f"/routes/{route['id']}", {**route, "service": {"id": service["id"]}})
    for plugin in plugins:
        call(admin, "PUT", f"/plugins/{plugin['id']}", {**plugin, "route": {"id": route["id"]}})


def configure_dbless(admin: str, policy: str, upstream: str) -> None:
    """Replace the whole configuration."""
    service, route, plugins = route_objects(policy, upstream)
    services = [{**service, "routes": [{**route, "plugins": plugins}]}]
    call(admin, "POST", "/config", {"_format_version": "3.0", "services": services})


def wait_for_admin(admin: str) -> None:
    """Wait until the Admin API answers.

    Raises:
        TimeoutError: it does not.
    """
    end = time.monotonic() + _START_S
    while True:
        try:
            # Not `/`: that answers 500 while Kong manages a plugin server.
            urllib.request.urlopen(f"{admin}/status", timeout=2).close()  # noqa: S310
        except (OSError, http.client.HTTPException) as error:
            if time.monotonic() > end:
                raise TimeoutError(f"{admin} does not answer: {error}") from error
            time.sleep(0.5)
        else:
            return


def main(arguments: list[str]) -> int:
    """Command line; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--admin", required=True, metavar="URL")
    parser.add_argument("--policy", required=True, type=Path, metavar="FILE")
    parser.add_argument("--upstream", required=True, metavar="URL")
    parser.add_argument("--dbless", action="store_true", help="Kong runs without a database")
    options = parser.parse_args(arguments)
    configure = configure_dbless if options.dbless else configure_database
    try:
        wait_for_admin(options.admin)
        configure(options.admin, options.policy.read_text("utf-8"), options.upstream)
    except urllib.error.HTTPError as error:
        # Kong's own message; a database-less Kong says in detail what is wrong with the policy.
        sys.stderr.write(f"configure: {error.code} {error.read().decode(errors='replace')}\n")
        return 1
    except (OSError, TimeoutError) as error:
        sys.stderr.write(f"configure: {error}\n")
        return 1
    sys.stdout.write("configured\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
