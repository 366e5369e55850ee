"""`edgerun autoscale replay`: what the autoscaler decides on a recorded load.

The format is in docs/autoscaling.md. Nothing is printed before the whole input is known to be right.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from ..autoscale import traces
from ..autoscale.replay import Case, decisions, summary
from ..errors import SettingsError
from .tables import table

HEADER = ("CASE", "TICKS", "UNDECIDED", "SECONDS", "IN PANIC", "MAX", "CHANGES", "POD SECONDS")
STDIN = "-"
SHOWN = 100  # of the problems: one mistake in a recorder is in every tick


def add(commands: Any) -> None:
    """The command `autoscale`."""
    command = commands.add_parser("autoscale", help="tell what the autoscaler would decide")
    actions = command.add_subparsers(required=True, metavar="ACTION")
    text = "decide a recorded load again, tick by tick"
    replayed = actions.add_parser("replay", help=text, description=f"{text[0].upper()}{text[1:]}.")
    replayed.add_argument("file", metavar="FILE", help="one case or a list of them, as JSON; - is standard input")
    replayed.add_argument("--summary", action="store_true", help="print a table instead of every decision")
    replayed.set_defaults(run=replay)


def replay(options: argparse.Namespace) -> int:
    """Exit code 2 when the input is not a trace."""
    source = "standard input" if options.file == STDIN else options.file
    document = _document(options.file, source)
    problems = traces.problems(document)
    if shown := list(islice(problems, SHOWN)):
        _complain(source, shown, more=sum(1 for _ in problems))
        return 2
    if options.summary:
        print(table(HEADER, _rows(document)))
    else:
        _print_decisions(document)
    return 0


def _document(file: str, source: str) -> Any:
    try:
        text = sys.stdin.buffer.read() if file == STDIN else Path(file).read_bytes()
    except OSError as error:
        raise SettingsError(f"cannot read {source}: {error.strerror}") from error
    try:
        return traces.parsed(text)
    except ValueError as error:
        raise SettingsError(f"{source} is not JSON: {error}") from error


def _complain(source: str, problems: Sequence[str], *, more: int) -> None:
    for problem in problems:
        print(f"{source}: {problem}", file=sys.stderr)
    if more:
        print(f"{source}: and {more} more", file=sys.stderr)


def _print_decisions(document: Any) -> None:
    """In the shape of the input, a case a line, each one as soon as it is decided."""
    opening, closing = ("[", "]") if isinstance(document, list) else ("", "")
    separator = ""
    print(opening, end="")
    for case in _answers(document):
        print(separator, json.dumps(case, ensure_ascii=False, separators=(",", ":")), sep="", end="")
        separator = ",\n"
    print(closing)


def _answers(document: Any) -> Iterator[Mapping[str, Any]]:
    for given, case in traces.cases(document):
        yield {**given, "got": [traces.written(decision) for decision in decisions(case)]}


def _rows(document: Any) -> Iterator[Sequence[str]]:
    for number, (_, case) in enumerate(traces.cases(document)):
        yield _row(number, case)


def _row(number: int, case: Case) -> Sequence[str]:
    found = summary(case.ticks, tuple(decisions(case)))
    seconds = (f"{found.lasted_s:.0f}", f"{found.panic_s:.0f}")
    counts = (str(found.most), str(found.changes), f"{found.pod_s:.0f}")
    return str(number), str(found.ticks), str(found.undecided), *seconds, *counts
