"""Plugins that do nothing but read the body, on stock kong-pdk and on our server; for bench_kong.

noop_kong.py stock SOCKET [-g]     kong-pdk's own server, threads or gevent
noop_kong.py front SOCKET          our front alone: no worker is asked
noop_kong.py ours SOCKET           our front and a worker that does nothing
"""

import sys
from pathlib import Path


class Plugin:
    """As a kong-pdk plugin is written."""

    def __init__(self, config):
        pass

    def access(self, kong):
        kong.request.get_raw_body()


def stock(path: Path, *flags: str) -> None:
    from kong_pdk.cli import start_dedicated_server

    sys.argv = ["stock", "-p", str(path.parent), "--socket-name", path.name, *flags]
    start_dedicated_server("bench", Plugin, "0.1.0", 1, [])


def ours(path: Path, *, ask: bool) -> None:
    from promptward_kong import pdk
    from promptward_kong.app import App, AppOptions
    from promptward_kong.effects import Work
    from promptward_kong.events import PASSED
    from promptward_kong.worker import serve_lanes

    async def access(context):
        body = await pdk.request_body()
        if ask:
            await Work("nothing", "i", body)
        return PASSED

    class Instance:
        def phase(self, name):
            return access

        def close(self):
            pass

    class Type:
        name, version, priority, phases = "bench", "0.1.0", 1, ("access",)

        def schema(self):
            return []

        def start(self, config):
            return Instance()

    options = AppOptions(socket=path, workers=2)
    App(options, lambda _: [Type()], lambda s: serve_lanes(s, lambda job: None)).run()


if __name__ == "__main__":
    kind, target = sys.argv[1], Path(sys.argv[2])
    if kind == "stock":
        stock(target, *sys.argv[3:])
    else:
        ours(target, ask=kind == "ours")
