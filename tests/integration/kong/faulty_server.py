"""A plugin server whose plugin and workers misbehave as their configuration says.

python faulty_server.py SOCKET ACCESS_DEADLINE_S WORKERS
"""

import logging
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from promptward_kong import pdk
from promptward_kong.app import App, AppOptions
from promptward_kong.effects import PdkCall, Work
from promptward_kong.events import PASSED
from promptward_kong.worker import serve_lanes


class Faulty:
    """One instance; `config["do"]` names what it does in access and response."""

    def __init__(self, config: Mapping[str, object]) -> None:
        self.config = config
        self.count = 0

    def phase(self, name):
        if name == "log":
            return self._log
        return getattr(self, f"_{self.config['do']}")

    def close(self) -> None:
        if self.config.get("close") == "raise":
            raise RuntimeError("close failed")

    async def _log(self, context):
        if self.config.get("log") == "raise":
            raise RuntimeError("log failed")
        if self.config.get("log") == "exit":
            await pdk.exit_with(200, b"", {})
        return PASSED

    async def _pass(self, context):
        self.count += 1
        headers = await pdk.request_headers()
        tag = headers.get("x-tag", [""])[0]
        await pdk.set_request_headers({"x-checked": f"{self.config.get('tag', '')}:{tag}"})
        await pdk.shared_set(
            "promptward", {"verdict": "allow", "request": await pdk.request_line()}
        )
        return PASSED

    async def _raise_first(self, context):
        raise RuntimeError("planted")

    async def _raise_later(self, context):
        await pdk.request_headers()
        raise RuntimeError("planted")

    async def _system_exit(self, context):
        await pdk.request_headers()
        raise SystemExit(3)

    async def _swallow_close(self, context):
        try:
            await Work("sleep", "i", 60.0)
        except GeneratorExit:
            raise RuntimeError("planted in close") from None

    async def _return_nothing(self, context):
        await pdk.request_headers()

    async def _lone_surrogate(self, context):
        await pdk.set_request_headers({"x": "\ud800"})
        return PASSED

    async def _object_argument(self, context):
        await PdkCall("kong.service.request.set_header", ("x", object()))
        return PASSED

    async def _huge_number(self, context):
        await PdkCall("kong.service.request.set_header", ("x", 2**70))
        return PASSED

    async def _await_foreign(self, context):
        class Foreign:
            def __await__(self):
                yield "something else"

        await Foreign()
        return PASSED

    async def _wrong_arguments(self, context):
        await PdkCall("kong.request.get_headers", (0,))
        return PASSED

    async def _default_raw_body(self, context):
        await PdkCall("kong.request.get_raw_body", ())
        return PASSED

    async def _wrong_phase(self, context):
        await PdkCall("kong.log.serialize", ())
        return PASSED

    async def _work_after_exit(self, context):
        await pdk.exit_with(418, b"teapot", {"content-type": "text/plain"})
        open(str(self.config["witness"]), "w").close()  # noqa: ASYNC230, PTH123 - must not run
        await pdk.set_request_headers({"x": "1"})

    async def _exit_first(self, context):
        await pdk.exit_with(403, b"no", {"content-type": "text/plain"})

    async def _write_body(self, context):
        await pdk.set_request_body(b"\x00\xff" * (int(str(self.config["size"])) // 2))
        return PASSED

    async def _echo(self, context):
        """Every octet the plugin saw goes back, so that the test can compare."""
        headers = await pdk.request_headers()
        body = await pdk.request_body()
        await pdk.shared_set("probe", {"blob": b"\xff\xfe"})
        shared = await pdk.shared_get("probe")
        assert shared is not None
        assert pdk.text(shared["blob"]) == "\xff\xfe"
        await pdk.set_request_headers({"x-echo": pdk.octets(headers.get("x-odd", [""])[0])})
        await pdk.set_request_headers({"x-length": str(len(body))})
        return PASSED

    async def _work(self, context):
        await pdk.request_headers()
        await Work(str(self.config["kind"]), "i", self.config.get("payload"))
        return PASSED


class FaultyType:
    name = "faulty"
    version = "0.1.0"
    priority = 1
    phases = ("access", "log")

    def schema(self):
        return []

    def start(self, config):
        if config.get("start") == "raise":
            raise RuntimeError("start failed")
        return Faulty(config)


def work(job):
    match job.kind:
        case "sleep":
            time.sleep(float(job.payload))
        case "spin":
            end = time.monotonic() + float(job.payload)
            while time.monotonic() < end:
                pass
        case "burn":  # CPU time, whatever else the machine does
            end = time.thread_time() + float(job.payload)
            while time.thread_time() < end:
                pass
        case "die":
            os._exit(9)
        case "raise":
            raise RuntimeError("planted")
        case "object":
            return object()
        case "pid":
            return os.getpid()
    return None


def main() -> None:
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    options = AppOptions(
        socket=Path(sys.argv[1]),
        workers=int(sys.argv[3]),
        access_deadline_s=float(sys.argv[2]),
        response_deadline_s=float(sys.argv[2]),
        log_deadline_s=float(sys.argv[2]),
        max_message_bytes=24 << 20,
        stuck_grace_s=0.5,
        stop_after_s=2.0,
    )
    App(options, lambda app: [FaultyType()], lambda sockets: serve_lanes(sockets, work)).run()


if __name__ == "__main__":
    main()
