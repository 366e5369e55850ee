"""The value of one YAML document, built from libyaml's events, with the line of everything in it.

Nothing in a file can make this slow, deep or large: nesting is counted before it is entered, without recursion, and
an alias costs as much as what it stands for. Keys that come twice are mistakes, for one of the two would be ignored.

Trap: an aliased value is the same object in every place. Nothing downstream may change a value in place.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from .scalars import ScalarError, scalar

MAX_DEPTH = 64  # the CRDs need 14
MAX_NODES = 200_000  # of one document, aliases expanded; more than an EdgeRoute has that is full to its bounds

_MERGE = "<<"


@dataclass(frozen=True, slots=True)
class Spot:
    """The line that a value stands on, from 1, and the spots of what is below it."""

    line: int
    children: "Mapping[str | int, Spot]" = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong with the text, at a line."""

    line: int
    message: str


class YamlError(Exception):
    """The text cannot be read on from here."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.mistake = Mistake(line, message)


@dataclass(slots=True)
class _Container:
    """A mapping or list that has not ended. In a mapping, `key` waits for its value."""

    value: Any
    line: int
    anchor: str | None
    nodes_before: int
    children: dict[str | int, Spot] = field(default_factory=dict)
    key: tuple[str, int] | None = None
    merged: list[tuple[Any, Spot]] = field(default_factory=list)


class Builder:
    """Takes the events of one document. `root` is its value once it has ended, None when it is empty."""

    def __init__(self) -> None:
        self.root: tuple[Any, Spot] | None = None
        self.mistakes: list[Mistake] = []
        self._open: list[_Container] = []
        self._anchors: dict[str, tuple[Any, Spot, int]] = {}
        self._nodes = 0

    def take(self, event: yaml.Event) -> None:
        """Raises YamlError when the document breaks a bound, or an alias stands for nothing."""
        line = event.start_mark.line + 1 if event.start_mark else 1
        match event:
            case yaml.ScalarEvent():
                self._scalar(event, line)
            case yaml.MappingStartEvent():
                self._enter({}, event.anchor, line)
            case yaml.SequenceStartEvent():
                self._enter([], event.anchor, line)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._leave()
            case yaml.AliasEvent():
                self._alias(event.anchor or "", line)

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> None:
        self._count(1, line)
        if self._expects_key():
            self._key(event, line)
            return
        try:
            value = scalar(event.value, event.tag, plain=event.implicit[0])
        except ScalarError as error:
            value = event.value
            self.mistakes.append(Mistake(line, str(error)))
        self._add(value, Spot(line), event.anchor, 1)

    def _enter(self, value: Any, anchor: str | None, line: int) -> None:
        self._count(1, line)
        if len(self._open) == MAX_DEPTH:
            raise YamlError(line, f"nested deeper than {MAX_DEPTH} levels")
        if self._expects_key():
            raise YamlError(line, "a mapping or list cannot be a key; keys are strings")
        self._open.append(_Container(value, line, anchor, self._nodes))

    def _leave(self) -> None:
        done = self._open.pop()
        for value, spot in done.merged:
            for key, item in value.items():
                if key not in done.value:
                    done.value[key] = item
                    done.children[key] = spot.children.get(key, spot)
        self._add(done.value, Spot(done.line, done.children), done.anchor, self._nodes - done.nodes_before + 1)

    def _alias(self, anchor: str, line: int) -> None:
        if anchor not in self._anchors:
            raise YamlError(line, f"the alias *{anchor} stands for nothing that is complete before it")
        value, spot, nodes = self._anchors[anchor]
        if self._expects_key():
            raise YamlError(line, f"the alias *{anchor} cannot be a key; write the key out")
        self._count(nodes, line)
        self._add(value, Spot(line, spot.children), None, nodes)

    def _count(self, nodes: int, line: int) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise YamlError(line, f"a document of more than {MAX_NODES:,} values, with its aliases written out")

    def _expects_key(self) -> bool:
        return bool(self._open) and self._open[-1].key is None and isinstance(self._open[-1].value, dict)

    def _key(self, event: yaml.ScalarEvent, line: int) -> None:
        container = self._open[-1]
        container.key = (event.value, line)
        plain = event.implicit[0]
        if plain and event.value == _MERGE:
            return
        try:
            read = scalar(event.value, event.tag, plain=plain)
        except ScalarError:
            read = None
        if not isinstance(read, str):
            words = {bool: "a boolean", int: "a number", float: "a number"}.get(type(read), "no string")
            self.mistakes.append(Mistake(line, f'the key {event.value} is {words}; write "{event.value}"'))
        elif event.value in container.value:
            first = container.children[event.value].line
            self.mistakes.append(Mistake(line, f'key "{event.value}" already set in map, on line {first}'))

    def _add(self, value: Any, spot: Spot, anchor: str | None, nodes: int) -> None:
        if anchor:
            self._anchors[anchor] = (value, spot, nodes)
        if not self._open:
            self.root = None if value is None else (value, spot)
            return
        container = self._open[-1]
        if isinstance(container.value, list):
            container.children[len(container.value)] = spot
            container.value.append(value)
            return
        key, line = container.key or ("", spot.line)
        container.key = None
        if key == _MERGE:
            self._merge(container, value, spot)
            return
        container.value.setdefault(key, value)
        container.children.setdefault(key, Spot(line, spot.children))

    def _merge(self, container: _Container, value: Any, spot: Spot) -> None:
        sources = value if isinstance(value, list) else [value]
        if all(isinstance(source, dict) for source in sources):
            container.merged += [(source, spot.children.get(index, spot)) for index, source in enumerate(sources)]
        else:
            self.mistakes.append(Mistake(spot.line, "<< takes a mapping, or a list of mappings"))
