"""The command line: what users type, what they read, and the exit codes.

0: done. 1: what was asked for is not so (an invalid file, a tour that went wrong). 2: the command itself could not
run (bad flags, a port in use, no instance to ask).
"""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import EdgerunError
from ..settings import DEFAULT_PORT
from . import autoscale, controller, keys, rollout
from .inspect import render, validate
from .local import run as run_local
from .parser import Parser
from .status import run as run_status

DESCRIPTION = "Cloud Run and Fastly Compute on your own Kubernetes; first, on your laptop."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that `arguments` (default: the process' own) name; its exit code."""
    options = _parser().parse_args(keys.shielded(sys.argv[1:] if arguments is None else arguments))
    logging.basicConfig(
        level=logging.DEBUG if options.verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    try:
        return int(options.run(options))
    except EdgerunError as error:
        if options.verbose:
            raise
        print(f"edgerun: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read this has had enough, and what is left in the buffer is for nobody
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _parser() -> argparse.ArgumentParser:
    parser = Parser("edgerun", description=DESCRIPTION)
    parser.add_argument("-v", "--verbose", action="store_true", help="log what happens inside, and show tracebacks")
    parser.add_argument("--version", action="version", version=f"edgerun {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_local(commands)
    _add_status(commands)
    _add_validate(commands)
    _add_render(commands)
    rollout.add(commands)
    autoscale.add(commands)
    keys.add(commands)
    controller.add(commands)
    controller.add_drain(commands)
    return parser


def _add_local(commands: Any) -> None:
    command = commands.add_parser("local", help="serve a folder of YAML through a real Envoy, origins as processes")
    command.add_argument("directory", metavar="DIR", type=Path, help="all *.yaml and *.yml below it, watched")
    command.add_argument(
        "--port", type=_between(1, 65_535), default=DEFAULT_PORT, help="where the edge listens (default: %(default)s)"
    )
    command.add_argument("--address", default="127.0.0.1", help="on which address (default: %(default)s)")
    command.add_argument(
        "--concurrency", type=_between(1, 1024), default=2, help="worker threads of Envoy (default: %(default)s)"
    )
    command.add_argument("--tour", metavar="FILE", type=Path, help="once ready, send these requests and show them")
    command.set_defaults(run=lambda options: asyncio.run(run_local(options)))


def _between(lowest: int, highest: int) -> Callable[[str], int]:
    def reader(text: str) -> int:
        if text.isdecimal() and lowest <= int(text) <= highest:
            return int(text)
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {lowest} to {highest}")

    return reader


def _add_status(commands: Any) -> None:
    command = commands.add_parser("status", help="show how every object of a running `edgerun local` fares")
    command.add_argument(
        "directory", metavar="DIR", type=Path, nargs="?", help="of which folder (default: all running)"
    )
    command.add_argument("-o", "--output", choices=("table", "yaml", "json"), default="table")
    command.set_defaults(run=lambda options: asyncio.run(run_status(options)))


def _add_validate(commands: Any) -> None:
    command = commands.add_parser("validate", help="show all that is wrong with files; exit code 1 if anything is")
    command.add_argument("files", metavar="FILE", type=Path, nargs="+", help="YAML files, or folders of them")
    command.set_defaults(run=validate)


def _add_render(commands: Any) -> None:
    command = commands.add_parser("render", help="show what Envoy would be told, as YAML")
    command.add_argument("files", metavar="FILE", type=Path, nargs="+", help="YAML files, or folders of them")
    command.set_defaults(run=render)
