"""Whether an object as somebody wrote it is one of ours: what an API server would do before it stores it.

All problems are found at once. What is well formed but could not run in Envoy is for `unsupported` to say.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from . import API_VERSION, GROUP, edgeproxy, edgeroute, originrevision, originservice
from .edgeproxy import EdgeProxy
from .edgeroute import EdgeRoute
from .originservice import OriginService
from .problems import Problem
from .rules import holds, rule_problems
from .schema import Kind, completed, kinds
from .structure import near, quoted, structure_problems

Served = EdgeProxy | EdgeRoute | OriginService
# What users meant who write a kind that is the operator's own.
_MEANT = {
    originrevision.KIND: "it is no kind for files: the operator writes it, for every change of an OriginService's "
    "template; take it away, and write the OriginService"
}
_SHAPES = {edgeproxy.KIND: EdgeProxy, edgeroute.KIND: EdgeRoute, originservice.KIND: OriginService}


@dataclass(frozen=True, slots=True)
class Admission:
    """`object` is there when there are no `problems`."""

    object: Served | None
    problems: tuple[Problem, ...] = ()


def admit(raw: Mapping[str, Any]) -> Admission:
    """The object, with all defaults, or everything that is wrong with it. Its `status` is not looked at."""
    kind = _kind(raw)
    if kind is None:
        return Admission(None, (_unknown_kind(raw),))
    value = completed(kind.root, {name: part for name, part in raw.items() if name != "status"})
    if raw.get("apiVersion") == API_VERSION and kind.checker.is_valid(value) and holds(kind.root, value):
        return Admission(msgspec.convert(value, _SHAPES[kind.name]))
    return Admission(None, tuple(sorted(set(_problems(kind, value)))))


def foreign(raw: Mapping[str, Any]) -> bool:
    """Whether it is an object of another API, such as the Namespace in the same file: nothing is to be said of it."""
    version, kind = raw.get("apiVersion"), raw.get("kind")
    if not isinstance(version, str) or not isinstance(kind, str) or not kind or kind in kinds():
        return False
    group, slash, _ = version.partition("/")
    return not (slash and near(group, (GROUP,)))


def _kind(raw: Mapping[str, Any]) -> Kind | None:
    name = raw.get("kind")
    return kinds().get(name) if isinstance(name, str) else None


def _unknown_kind(raw: Mapping[str, Any]) -> Problem:
    name, version = raw.get("kind"), raw.get("apiVersion")
    if isinstance(name, str) and name in _MEANT:
        return Problem("kind", f"{name}: {_MEANT[name]}")
    if not isinstance(name, str) or not name:
        return Problem("kind", f"Required value; the kinds of {API_VERSION} are {_listed()}")
    meant = near(name, kinds()) if isinstance(version, str) and version.startswith(f"{GROUP}/") else ""
    hint = f'did you mean "{meant}"?' if meant else f"the kinds of {API_VERSION} are {_listed()}"
    return Problem("kind", f"no matches for kind {quoted(name)} in version {quoted(version)}; {hint}")


def _listed() -> str:
    *others, last = kinds()
    return f"{', '.join(others)} and {last}"


def _problems(kind: Kind, value: Mapping[str, Any]) -> Iterator[Problem]:
    version = value.get("apiVersion")
    if version is None:
        yield Problem("apiVersion", f"Required value; it is {API_VERSION}")
    elif version != API_VERSION:
        message = f"no matches for kind {quoted(kind.name)} in version {quoted(version)}; it is {API_VERSION}"
        yield Problem("apiVersion", message)
    found = list(structure_problems(kind, value))
    for path, problem in found:
        if path != ("apiVersion",):
            yield problem
    unfit = frozenset(path[:depth] for path, _ in found for depth in range(len(path) + 1))
    yield from rule_problems(kind.root, value, unfit)
