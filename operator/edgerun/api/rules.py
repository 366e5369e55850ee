"""What the rules of a CRD say against an object: its `x-kubernetes-validations`, and lists that are sets or maps.

Walks schema and value side by side. `holds` is the fast way, for objects that are mostly right; `rule_problems` says
what is wrong and where, with the CRD's own messages.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from .problems import Path, Problem, field_path
from .schema import Node
from .structure import quoted

Value = Any  # as it comes from YAML or JSON, completed


def holds(node: Node, value: Value) -> bool:
    """Whether `value`, of the right structure, obeys all rules."""
    if isinstance(value, list) and _duplicates(node, value):
        return False
    if not all(rule.holds(value) for rule in node.rules):
        return False
    return all(holds(child, item) for child, item in _checked_children(node, value))


def rule_problems(node: Node, value: Value, unfit: frozenset[Path], path: Path = ()) -> Iterator[Problem]:
    """What the rules say against `value`. They are not asked about an `unfit` one: its structure is wrong somewhere."""
    if path not in unfit:
        yield from _broken(node, value, path)
    if isinstance(value, dict):
        steps: Iterable[tuple[str | int, Value]] = value.items()
    elif isinstance(value, list):
        steps = enumerate(value)
    else:
        return
    for step, item in steps:
        child = node.child(step)
        if child:
            yield from rule_problems(child, item, unfit, (*path, step))


def _checked_children(node: Node, value: Value) -> Iterator[tuple[Node, Value]]:
    if isinstance(value, dict):
        for key, item in value.items():
            child = node.properties.get(key, node.values)
            if child and child.checked:
                yield child, item
    elif isinstance(value, list) and node.items and node.items.checked:
        for item in value:
            yield node.items, item


def _broken(node: Node, value: Value, path: Path) -> Iterator[Problem]:
    if isinstance(value, list):
        for index, key in _duplicates(node, value):
            yield Problem(field_path((*path, index)), f"Duplicate value: {quoted(key)}")
    for rule in node.rules:
        if not rule.holds(value):
            yield Problem(field_path((*path, *rule.field)), rule.says(value))


def _duplicates(node: Node, value: list[Value]) -> list[tuple[int, Value]]:
    """The second appearance of each member of a set, and of each key of a map."""
    if node.list_type == "atomic" or len(value) < 2:
        return []
    seen: dict[Any, int] = {}
    found = []
    for index, item in enumerate(value):
        key = item if node.list_type == "set" else tuple(item.get(name) for name in node.list_keys)
        seen[key] = seen.get(key, 0) + 1
        if seen[key] == 2:
            found.append((index, item if node.list_type == "set" else {name: item[name] for name in node.list_keys}))
    return found
