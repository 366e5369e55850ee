"""YAML text as documents; where it stops being YAML, in words that help.

libyaml's own words are exact but speak of its insides ("while scanning for the next token"), so the common ones come
with what to do about it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.error import MarkedYAMLError
from yaml.reader import ReaderError

from .building import Builder, Mistake, Spot, YamlError

_HINTS = {
    "mapping values are not allowed in this context": 'a value that contains ": " has to be in quotes',
    "did not find expected key": "is the line indented as its neighbours are?",
    "did not find expected '-' indicator": "is the line indented as its neighbours are?",
    "found unexpected end of stream": "a quote is opened here or before, and never closed",
    "found incompatible YAML document": "only YAML 1.1 and 1.2 are known",
}
_TAB_HINT = "a tab cannot indent YAML; use blanks"
_UNSTARTABLE = "@`%"


@dataclass(frozen=True, slots=True)
class Text:
    """One document: its value, where everything stands, and what is wrong with the text as such."""

    value: Any
    spot: Spot
    mistakes: tuple[Mistake, ...]


def texts(source: str) -> Iterator[Text]:
    """The documents of `source`, empty ones left out. Raises YamlError where it cannot be read on."""
    builder = Builder()
    try:
        for event in yaml.parse(source, Loader=yaml.CSafeLoader):
            if isinstance(event, yaml.DocumentStartEvent):
                builder = Builder()
            elif not isinstance(event, yaml.DocumentEndEvent):
                builder.take(event)
            elif builder.root is not None:
                yield Text(*builder.root, tuple(builder.mistakes))
    except ReaderError as error:
        line = source.count("\n", 0, error.position) + 1
        code = error.character if isinstance(error.character, int) else ord(error.character)
        raise YamlError(line, f"the character U+{code:04X} is not allowed in YAML") from None
    except MarkedYAMLError as error:
        raise _syntax_error(error, source) from None


def _syntax_error(error: MarkedYAMLError, source: str) -> YamlError:
    mark = error.problem_mark or error.context_mark
    line, column, index = (mark.line, mark.column, mark.index) if mark else (0, 0, 0)
    problem = str(error.problem)
    context = f" {error.context}," if error.context else ""
    hint = _hint(problem, source[index : index + 1])
    return YamlError(line + 1, f"not YAML at column {column + 1}:{context} {problem}{hint}")


def _hint(problem: str, found: str) -> str:
    if found == "\t" or "tab character" in problem:
        return f" ({_TAB_HINT})"
    if found and found in _UNSTARTABLE and "cannot start" in problem:
        return f" (a value that begins with {found} has to be in quotes)"
    return f" ({_HINTS[problem]})" if problem in _HINTS else ""
