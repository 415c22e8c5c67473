"""deploy/compose/cloudflare as processes: the folder its image serves, written by the same script."""

from __future__ import annotations

import subprocess
import sys

import yaml

from stacks.native import BackendMissingError, NativeStack, at, free_address
from stacks.stack import COMPOSE, ROOT


class NativeCloudflare(NativeStack):
    """workerd and the demo upstream."""

    gateway = folder = "cloudflare"
    guards = ("worker",)

    def boot(self) -> None:
        services = yaml.safe_load((COMPOSE / "cloudflare" / "compose.yaml").read_text())["services"]
        upstream = self.run_upstream(services["upstream"])
        served, state = self.directory / "served", self.directory / "state"
        command = [
            sys.executable,
            "deploy/images/worker_files.py",
            str(served),
            "--state",
            str(state),
        ]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BackendMissingError(f"native backend: {done.stderr}")
        (state / "kv").rmdir()
        (state / "kv").symlink_to(self.policy_file.parent)
        listen = free_address()
        self.http = f"http://{at(listen)}"
        settings = {**services["worker"]["environment"], "UPSTREAM": f"http://{at(upstream)}"}
        settings |= {"LISTEN": at(listen), "POLICY_KEY": self.policy_file.name}
        self.run("worker", [str(served / "serve")], settings)
