"""The `promptward-envoy` command: `serve` and `quickstart`.

Every option of `serve` can also be given as an environment variable, PROMPTWARD_ and its name in
capitals (`--max-in-flight` is PROMPTWARD_MAX_IN_FLIGHT); the command line wins. Secrets are only
taken from the environment or a file, never from the command line, which everyone can read.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sys
import tempfile
from argparse import RawDescriptionHelpFormatter
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path

import uvloop

from promptward.errors import PolicyError, PortError
from promptward.exchange import JSON
from promptward_envoy import __version__
from promptward_envoy.addresses import is_local, is_loopback, split_address, worker_address
from promptward_envoy.envoy_binary import EnvoyNotFoundError
from promptward_envoy.envoy_process import EnvoyFailedError
from promptward_envoy.option_types import (
    LOG_LEVELS,
    above_zero,
    address_or_off,
    listening_address,
    log_level,
    positive,
    zero_or_more,
)
from promptward_envoy.quickstart import add_quickstart_parser
from promptward_envoy.server import ServerSettings, TlsFiles
from promptward_envoy.service import Service, ServiceSettings
from promptward_ports.ledgers import open_ledger

_log = logging.getLogger("promptward.envoy")

_TLS_FILES = {
    "tls-cert": "certificate chain (PEM); with it Envoy connects over TLS",
    "tls-key": "key of --tls-cert (PEM)",
    "tls-client-ca": "CA of Envoy's client certificates (PEM); with it they are required",
}
_DEFAULT_LISTEN = "127.0.0.1:9910"
_DEFAULT_ADMIN = "127.0.0.1:9900"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    options = _parser().parse_args(argv)
    level = str(getattr(options, "log_level", "info")).upper()
    line = "%(asctime)s %(levelname)s %(name)s %(message)s"
    logging.basicConfig(level=level, format=line, stream=sys.stderr)
    try:
        return int(options.run(options))
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        sys.stderr.write(f"promptward-envoy: {what}\n")
        return 1
    except PolicyError as error:
        for problem in error.problems:
            sys.stderr.write(f"promptward-envoy: {problem}\n")
        return 2
    except (PortError, ValueError, RuntimeError) as error:
        sys.stderr.write(f"promptward-envoy: {error}\n")
        return 1
    except (EnvoyNotFoundError, EnvoyFailedError) as error:
        sys.stderr.write(f"promptward-envoy: {error}\n")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="promptward-envoy", description=__doc__, formatter_class=RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"promptward-envoy {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve = commands.add_parser(
        "serve", help="serve ext_authz and ext_proc to an Envoy", allow_abbrev=False
    )
    serve.set_defaults(run=_serve)
    for add in (_add_what, _add_where, _add_bounds):
        add(serve)
    add_quickstart_parser(commands)
    return parser


def _env(name: str, default: object) -> object:
    """The value of PROMPTWARD_`name`, which the option's type will read, or `default`."""
    return os.environ.get(f"PROMPTWARD_{name}", default)


def _add_what(serve: argparse.ArgumentParser) -> None:
    serve.add_argument(
        "--policy",
        action="append",
        type=Path,
        metavar="FILE",
        help="policy file; may be repeated, routes choose by name and the first is the default",
    )
    serve.add_argument(
        "--ledger",
        metavar="URL",
        default=_env("LEDGER", ""),
        help="budget ledger: sqlite:///PATH, redis://…, memory:// (default: sqlite in the state"
        " directory of the user)",
    )
    serve.add_argument(
        "--ledger-timeout",
        type=above_zero,
        metavar="SECONDS",
        default=_env("LEDGER_TIMEOUT", 1.0),
        help="most time for one answer of the ledger (default: 1)",
    )
    serve.add_argument(
        "--audit",
        metavar="WHERE",
        default=_env("AUDIT", "stdout"),
        help="where audit events go: stdout, none or a file (default: stdout)",
    )
    serve.add_argument(
        "--watch",
        type=zero_or_more,
        metavar="SECONDS",
        default=_env("WATCH", 2.0),
        help="look for changed policy files this often; 0 never (default: 2)",
    )


def _add_where(serve: argparse.ArgumentParser) -> None:
    serve.add_argument(
        "--listen",
        type=listening_address,
        default=_env("LISTEN", _DEFAULT_LISTEN),
        metavar="ADDRESS",
        help=f"host:port or unix:/path (default: {_DEFAULT_LISTEN}); worker n > 0 listens on"
        " port + n, or on /path.n",
    )
    serve.add_argument(
        "--workers",
        type=positive,
        metavar="N",
        default=_env("WORKERS", 1),
        help="processes, each on its own address (default: 1)",
    )
    serve.add_argument(
        "--admin",
        type=address_or_off,
        default=_env("ADMIN", _DEFAULT_ADMIN),
        metavar="HOST:PORT",
        help=f"admin port, or `off` (default: {_DEFAULT_ADMIN}; elsewhere than on loopback it"
        " needs a token)",
    )
    serve.add_argument(
        "--admin-token-file",
        type=Path,
        metavar="FILE",
        default=_env("ADMIN_TOKEN_FILE", None),
        help="file with the admin port's bearer token (or PROMPTWARD_ADMIN_TOKEN)",
    )
    _add_ledger_port(serve)
    for name, what in _TLS_FILES.items():
        variable = name.upper().replace("-", "_")
        serve.add_argument(
            f"--{name}", type=Path, metavar="FILE", default=_env(variable, None), help=what
        )
    serve.add_argument("--status-file", type=Path, help=argparse.SUPPRESS)
    serve.add_argument(
        "--log-level",
        type=log_level,
        metavar="LEVEL",
        default=_env("LOG_LEVEL", "info"),
        help=f"{', '.join(LOG_LEVELS)} (default: info)",
    )


def _add_ledger_port(serve: argparse.ArgumentParser) -> None:
    serve.add_argument(
        "--ledger-listen",
        type=address_or_off,
        default=_env("LEDGER_LISTEN", "off"),
        metavar="HOST:PORT",
        help="let other gateways draw from this ledger over HTTP, or `off` (default: off; needs a"
        " token; put TLS in front of it where others can listen)",
    )
    serve.add_argument(
        "--ledger-token-file",
        type=Path,
        default=_env("LEDGER_TOKEN_FILE", None),
        metavar="FILE",
        help="file with the ledger port's bearer token (or PROMPTWARD_LEDGER_TOKEN)",
    )


def _add_bounds(serve: argparse.ArgumentParser) -> None:
    serve.add_argument(
        "--max-in-flight",
        type=positive,
        metavar="N",
        default=_env("MAX_IN_FLIGHT", 1000),
        help="exchanges at once in each process; more get 503 (default: 1000)",
    )
    serve.add_argument(
        "--max-message-bytes",
        type=positive,
        metavar="BYTES",
        default=_env("MAX_MESSAGE_BYTES", 16 << 20),
        help="largest message of Envoy; more than its buffer limit (default: 16 MiB)",
    )
    serve.add_argument(
        "--deadline",
        type=above_zero,
        default=_env("DEADLINE", 5.0),
        metavar="SECONDS",
        help="most time for one answer; less than Envoy's message_timeout (default: 5)",
    )
    serve.add_argument(
        "--drain",
        type=zero_or_more,
        default=_env("DRAIN", 1.5),
        metavar="SECONDS",
        help="between NOT_SERVING and refusing calls; more than two health intervals"
        " (default: 1.5)",
    )
    serve.add_argument(
        "--grace",
        type=zero_or_more,
        default=_env("GRACE", 30.0),
        metavar="SECONDS",
        help="time that open streams get to finish (default: 30)",
    )


def _serve(options: argparse.Namespace) -> int:
    named = os.environ.get("PROMPTWARD_POLICY", "")
    policies = options.policy or [Path(p) for p in named.split(os.pathsep) if p]
    if not policies:
        raise PolicyError("no policy: give --policy FILE or set PROMPTWARD_POLICY")
    if not is_local(options.listen) and options.tls_cert is None:
        _log.warning("prompts pass %s in the clear; see --tls-cert", options.listen)
    ledger_listen = parse_admin(options.ledger_listen)
    if ledger_listen is not None and not is_loopback(ledger_listen[0]):
        _log.warning("budgets pass %s in the clear; put TLS in front", options.ledger_listen)
    options.policy = policies
    options.ledger = options.ledger or _default_ledger()
    if options.workers > 1:
        return _serve_workers(options)
    return _run(_serve_one(_settings(options)))


async def _serve_one(settings: ServiceSettings) -> None:
    """Build the service where it runs: a gRPC server belongs to the loop it was made in."""
    await Service(settings).run(_announce)


def _run(work: Coroutine[object, object, int | None]) -> int:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work) or 0


def _serve_workers(options: argparse.Namespace) -> int:
    if options.ledger.startswith("memory:"):
        raise PolicyError("ledger: memory:// is not shared between workers; use sqlite:///PATH")
    from promptward_envoy.workers import worker_environment

    with tempfile.TemporaryDirectory(prefix="promptward-") as directory:
        worker_environment(Path(directory))
        return _run(_supervise(options, Path(directory)))


async def _supervise(options: argparse.Namespace, directory: Path) -> int:
    from promptward_envoy.workers import Supervisor, worker_command

    commands = [worker_command(_worker_arguments(options, n)) for n in range(options.workers)]
    supervisor = Supervisor(
        commands,
        directory,
        open_ledger(options.ledger, timeout_s=options.ledger_timeout, suspending=True),
        parse_admin(options.admin),
        _token(options),
        options.drain + options.grace + 5,
        parse_admin(options.ledger_listen),
        _ledger_token(options),
    )
    return await supervisor.run(_announce)


def _worker_arguments(options: argparse.Namespace, number: int) -> list[str]:
    arguments = ["--listen", worker_address(options.listen, number), "--admin", "off"]
    arguments += ["--ledger-listen", "off"]  # the supervisor has it
    for policy in options.policy:
        arguments += ["--policy", str(policy)]
    names = ("ledger", "ledger_timeout", "audit", "watch", "log_level", "max_in_flight")
    for name in (*names, "max_message_bytes", "deadline", "drain", "grace"):
        arguments += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    for name in _TLS_FILES:
        file = getattr(options, name.replace("-", "_"))
        arguments += [f"--{name}", str(file)] if file else []
    return [*arguments, "--workers", "1"]


def _settings(options: argparse.Namespace) -> ServiceSettings:
    return ServiceSettings(
        policies=options.policy,
        server=ServerSettings(
            address=options.listen,
            max_message_bytes=options.max_message_bytes,
            max_in_flight=options.max_in_flight,
            deadline_s=options.deadline,
            drain_s=options.drain,
            grace_s=options.grace,
            tls=_tls(options),
        ),
        ledger=options.ledger,
        ledger_timeout_s=options.ledger_timeout,
        audit=options.audit,
        admin=parse_admin(options.admin),
        admin_token=_token(options),
        ledger_listen=parse_admin(options.ledger_listen),
        ledger_token=_ledger_token(options),
        watch_s=options.watch,
        status_file=options.status_file,
    )


def parse_admin(address: str) -> tuple[str, int] | None:
    """Host and port of `host:port`; None for `off`.

    Raises:
        ValueError: neither.
    """
    return None if address == "off" else split_address(address)


def _tls(options: argparse.Namespace) -> TlsFiles | None:
    if options.tls_cert is None and options.tls_key is None and options.tls_client_ca is None:
        return None
    if options.tls_cert is None or options.tls_key is None:
        raise ValueError("--tls-cert and --tls-key belong together")
    return TlsFiles(options.tls_cert, options.tls_key, options.tls_client_ca)


def _token(options: argparse.Namespace) -> str:
    return _secret(options.admin_token_file, "PROMPTWARD_ADMIN_TOKEN")


def _ledger_token(options: argparse.Namespace) -> str:
    return _secret(options.ledger_token_file, "PROMPTWARD_LEDGER_TOKEN")


def _secret(file: Path | None, variable: str) -> str:
    """The content of `file` when it is given, else the environment's `variable`."""
    if file is not None:
        return file.read_text(encoding="utf-8").strip()
    return os.environ.get(variable, "")


def _default_ledger() -> str:
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    directory = Path(state) / "promptward"
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    return f"sqlite://{directory}/ledger.db"


def _announce(status: Mapping[str, JSON]) -> None:
    shown = {k: v for k, v in status.items() if k != "workers"}
    _log.info("serving %s", json.dumps(shown))
