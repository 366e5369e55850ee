"""What is well formed and Envoy would refuse all the same: found here, before anything is sent.

Today these are regular expressions, judged by Envoy's own engine. A refusal by Envoy itself is a NACK, which holds
back every other change of the same resource until the culprit is found.

Trap: Envoy reads patterns as Latin-1, byte by byte. Read as UTF-8, as RE2 does by default, sizes come out wrong.
"""

from collections.abc import Iterator
from functools import lru_cache

import re2

from .edgeproxy import EdgeProxy
from .edgeroute import EdgeRoute, NamedMatch, PathMatchType, RouteMatch, StringMatchType
from .originservice import OriginService
from .problems import Problem
from .structure import quoted

# Envoy refuses programs above `re2.max_program_size.error_level`, by default 100, which 97 letters exceed.
# Every bootstrap has to raise it to this. The longest pattern that the CRD takes needs 1,028 for its letters alone.
REGEX_PROGRAM_SIZE = 2_000

_BACK_REFERENCES = tuple(f"invalid escape sequence: \\{digit}" for digit in range(1, 10))


def unsupported(found: EdgeProxy | EdgeRoute | OriginService) -> tuple[Problem, ...]:
    """Every value of an admitted object that Envoy would refuse."""
    if not isinstance(found, EdgeRoute):
        return ()
    return tuple(
        Problem(field, message)
        for field, pattern in _patterns(found)
        if (message := regex_problem(pattern)) is not None
    )


@lru_cache(maxsize=4_096)
def regex_problem(pattern: str) -> str | None:
    """Why Envoy would not run `pattern`, or None."""
    try:
        program = re2.compile(pattern.encode(), _options())
    except re2.error as error:
        return f"Invalid value: {quoted(pattern)}: not a regular expression of RE2: {_reason(pattern, error)}"
    if program.programsize <= REGEX_PROGRAM_SIZE:
        return None
    return (
        f"Invalid value: {quoted(pattern)}: the regular expression compiles to {program.programsize} instructions, and "
        f"Envoy takes at most {REGEX_PROGRAM_SIZE}; shorten its repetitions, or split it into several matches"
    )


@lru_cache(maxsize=1)
def _options() -> re2.Options:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    return options


def _reason(pattern: str, error: re2.error) -> str:
    said = error.args[0].decode("utf-8", "replace")
    words, _, culprit = said.partition(": ")
    known = culprit and culprit != pattern and pattern.count(culprit) == 1
    where = f" at character {pattern.index(culprit) + 1}" if known else ""
    return f"{words}: {culprit}{where}{_hint(said)}" if culprit else said


def _hint(said: str) -> str:
    if said.startswith(_BACK_REFERENCES):
        return " (RE2 has no back references)"
    if said.startswith("invalid perl operator: (?"):
        return " (RE2 has no look-ahead and no look-behind)"
    return ""


def _patterns(route: EdgeRoute) -> Iterator[tuple[str, str]]:
    for index, rule in enumerate(route.spec.rules):
        for number, match in enumerate(rule.matches):
            yield from _match_patterns(f"spec.rules[{index}].matches[{number}]", match)


def _match_patterns(field: str, match: RouteMatch) -> Iterator[tuple[str, str]]:
    if match.path.type is PathMatchType.REGULAR_EXPRESSION:
        yield f"{field}.path.value", match.path.value
    yield from _named_patterns(f"{field}.headers", match.headers)
    yield from _named_patterns(f"{field}.queryParams", match.query_params)


def _named_patterns(field: str, matches: tuple[NamedMatch, ...]) -> Iterator[tuple[str, str]]:
    for index, match in enumerate(matches):
        if match.type is StringMatchType.REGULAR_EXPRESSION:
            yield f"{field}[{index}].value", match.value
