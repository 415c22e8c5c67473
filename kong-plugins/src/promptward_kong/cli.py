"""`promptward-kong`: what Kong's pluginserver settings run, and what operators run by hand.

serve   the plugin server             pluginserver_promptward_start_cmd
dump    the answer to Kong's query    pluginserver_promptward_query_cmd  (also `--dump`)
ready   exit 0 when a server answers  readiness probes
gate    put the Lua gate where Kong finds it
check   whether a policy can be enforced by Kong
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from promptward_kong import __version__
from promptward_kong.plugin import BUFFERED, STREAMING

_DEFAULT_PREFIX = "/usr/local/kong"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if "--dump" in given:  # kong-pdk's spelling of the query
        given = ["dump", *(a for a in given if a not in ("--dump", "serve"))]
    options = _parser().parse_args(given)
    status: int = options.run(options)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="promptward-kong",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_serve(commands.add_parser("serve", help="run the plugin server"))
    dump = commands.add_parser("dump", help="print what Kong's query wants")
    dump.add_argument("--plugin", choices=[STREAMING, BUFFERED], default=STREAMING)
    dump.set_defaults(run=_dump)
    ready = commands.add_parser("ready", help="exit 0 when a server answers")
    _add_socket(ready)
    ready.add_argument("--timeout", type=float, default=2.0, metavar="SECONDS")
    ready.set_defaults(run=_ready)
    gate = commands.add_parser("gate", help="install the Lua gate for Kong")
    gate.add_argument("--to", type=Path, required=True, metavar="DIR", help="see lua_package_path")
    gate.set_defaults(run=_gate)
    check = commands.add_parser("check", help="whether Kong can enforce a policy file")
    check.add_argument("policy", type=Path)
    check.add_argument("--plugin", choices=[STREAMING, BUFFERED], default=STREAMING)
    check.set_defaults(run=_check)
    return parser


def _add_socket(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-p",
        "--kong-prefix",
        type=Path,
        default=Path(_DEFAULT_PREFIX),
        metavar="DIR",
        help="directory of the socket (default: %(default)s)",
    )
    parser.add_argument(
        "--socket-name",
        default="promptward.socket",
        metavar="NAME",
        help="file name of the socket (default: %(default)s)",
    )
    parser.add_argument("--socket", type=Path, metavar="PATH", help="path, instead of the two")


def _add_serve(parser: argparse.ArgumentParser) -> None:
    _add_socket(parser)
    parser.add_argument(
        "--workers", type=_positive, metavar="N", help="check processes (default: 2)"
    )
    parser.add_argument(
        "--threads",
        type=_positive,
        default=8,
        metavar="N",
        help="checks per process (default: %(default)s)",
    )
    parser.add_argument("--ledger", default="", metavar="URL", help="default ledger of budgets")
    parser.add_argument(
        "--audit", default="stdout", metavar="TARGET", help="stdout, none or a file"
    )
    parser.add_argument(
        "--deadline",
        type=_seconds,
        default=20.0,
        metavar="SECONDS",
        help="longest check, 1..55 (Kong gives up after 60)",
    )
    parser.add_argument(
        "--max-body",
        type=_positive,
        default=64 << 20,
        metavar="BYTES",
        help="largest message from Kong",
    )
    parser.add_argument(
        "--max-open",
        type=_positive,
        default=8192,
        metavar="N",
        help="requests between access and log at once (default: %(default)s)",
    )
    parser.add_argument(
        "--socket-mode", type=lambda text: int(text, 8), default=0o660, metavar="OCTAL"
    )
    parser.set_defaults(run=_serve)


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number, 1 or more, not {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    value = float(text)
    if not 1.0 <= value <= 55.0:
        raise argparse.ArgumentTypeError("expected 1 to 55 seconds")
    return value


def _socket_path(options: argparse.Namespace) -> Path:
    return Path(options.socket or options.kong_prefix / options.socket_name)


def _serve(options: argparse.Namespace) -> int:
    from promptward.errors import PromptwardError
    from promptward_kong.app import DEFAULT_WORKERS, AppOptions
    from promptward_kong.output import log_to
    from promptward_kong.serving import make_app

    log_to(sys.stderr.fileno())
    try:
        app = make_app(
            AppOptions(
                socket=_socket_path(options),
                workers=options.workers or DEFAULT_WORKERS,
                threads=options.threads,
                ledger=options.ledger,
                audit=options.audit,
                access_deadline_s=options.deadline,
                response_deadline_s=options.deadline,
                log_deadline_s=options.deadline,
                max_message_bytes=options.max_body,
                max_tickets=options.max_open,
                socket_mode=options.socket_mode,
            )
        )
    except PromptwardError as error:
        print(f"promptward-kong: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        where = error.filename or _socket_path(options)
        print(f"promptward-kong: {where}: {error.strerror or error}", file=sys.stderr)
        return 1
    app.run()
    return 0


def _dump(options: argparse.Namespace) -> int:
    from promptward_kong.plugin import PromptwardPlugin
    from promptward_kong.server import plugin_info

    # Kong reads only the first plugin of the list, so there is only one.
    print(json.dumps([plugin_info(PromptwardPlugin(options.plugin))]))
    return 0


def _ready(options: argparse.Namespace) -> int:
    from promptward_kong.readiness import probe

    path = _socket_path(options)
    try:
        status = probe(path, options.timeout)
    except (OSError, ValueError) as error:
        print(f"{path}: not ready: {error}", file=sys.stderr)
        return 1
    print(json.dumps(status))
    return 0 if not status.get("Draining") else 1


def _gate(options: argparse.Namespace) -> int:
    from promptward_kong.gate import install_gate

    try:
        print(install_gate(options.to))
    except OSError as error:
        print(f"promptward-kong: {error}", file=sys.stderr)
        return 1
    return 0


def _check(options: argparse.Namespace) -> int:
    from promptward.errors import PolicyError
    from promptward.policy import lint, load_policy
    from promptward_kong.capabilities import KONG, KONG_BUFFERED

    try:
        policy = load_policy(options.policy.read_text("utf-8"), os.environ.get)
        gateway = KONG_BUFFERED if options.plugin == BUFFERED else KONG
        problems = tuple(str(finding) for finding in lint(policy.model, gateway))
    except PolicyError as error:
        problems = error.problems
    except (OSError, UnicodeDecodeError) as error:
        print(f"{options.policy}: {error}", file=sys.stderr)
        return 2
    for problem in problems:
        print(problem)
    return 1 if problems else 0
