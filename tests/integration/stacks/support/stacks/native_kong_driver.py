"""deploy/compose/kong as processes, with a driver in the place of Kong (kong_driver.py).

The plugin server is a process of its own, as with deploy/kong/kong-external.conf.
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import requests
import yaml

from stacks.native import NativeStack, at, free_address
from stacks.stack import COMPOSE

_FOLDER = COMPOSE / "kong"
_COMMAND = "KONG_PLUGINSERVER_PROMPTWARD_KONG_START_CMD"


class NativeKongDriver(NativeStack):
    """The driver, the plugin server, Redis and the demo upstream."""

    gateway = "kong-driver"
    folder = "kong"
    guards = ("promptward",)

    def boot(self) -> None:
        services = yaml.safe_load((_FOLDER / "compose.yaml").read_text())["services"]
        redis = self.run_redis(services["redis"])
        self._upstream = f"http://{at(self.run_upstream(services['upstream']))}"
        self._short = tempfile.mkdtemp(prefix="pwk")  # short enough for a Unix socket
        socket = f"{self._short}/k.sock"
        theirs = shlex.split(services["kong"]["environment"][_COMMAND])
        ours = {theirs[theirs.index("--socket") + 1]: socket}
        ours["redis://redis:6379/0"] = f"redis://{at(redis)}/0"
        arguments = [ours.get(word, word) for word in theirs[1:]]
        self.run("promptward", [sys.executable, "-m", "promptward_kong", *arguments], {})
        listen, self._admin = free_address(), f"http://{at(admin := free_address())}"
        self.http = f"http://{at(listen)}"
        program = str(Path(__file__).with_name("kong_driver.py"))
        where = ["--listen", at(listen), "--admin", at(admin), "--socket", socket]
        self.run("kong-driver", [sys.executable, program, *where], {})

    def _start(self, service: str) -> None:
        super()._start(service)
        if service == "kong-driver":  # without a database it has forgotten everything
            self.policy_changed()

    def policy_changed(self) -> None:
        """Run the one-shot step."""
        command = [
            sys.executable,
            str(_FOLDER / "configure.py"),
            "--dbless",
            "--admin",
            self._admin,
        ]
        command += ["--policy", str(self.policy_file), "--upstream", self._upstream]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def configure(self, plugins: list[dict[str, Any]]) -> requests.Response:
        """Replace the configuration by one whose route has these plugins."""
        route = {"paths": ["/v1"], "strip_path": False, "plugins": plugins}
        services = [{"url": self._upstream, "routes": [route]}]
        document = {"_format_version": "3.0", "services": services}
        return requests.post(f"{self._admin}/config", json=document, timeout=30)

    def status(self) -> Any:
        """What the plugin server says of itself."""
        command = [sys.executable, "-m", "promptward_kong", "ready"]
        done = subprocess.run(
            [*command, "--socket", f"{self._short}/k.sock"],
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(done.stdout)

    def stop(self) -> None:
        super().stop()
        shutil.rmtree(self._short, ignore_errors=True)
