"""Argument parsing; each command is one file."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from promptward import __version__
from promptward.cli import budgets, check, lint, scan, schema, tune, usage

UNREADABLE = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells report it


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command."""
    parser = argparse.ArgumentParser(
        prog="promptward",
        description="Lint, check and try out Promptward policies.",
        epilog="Exit codes: 0 clean, 1 findings, 2 unreadable input or wrong usage.",
    )
    parser.add_argument("--version", action="version", version=f"promptward {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in (lint, check, scan, tune, schema, budgets, usage):
        module.add_parser(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    options = build_parser().parse_args(arguments)
    try:
        code: int = options.run(options)
    except BrokenPipeError:  # the reader of our output has gone; there is nobody to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNREADABLE
    except OSError as error:
        print(f"promptward: {error.filename}: {error.strerror}", file=sys.stderr)
        return UNREADABLE
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


if __name__ == "__main__":
    sys.exit(main())
