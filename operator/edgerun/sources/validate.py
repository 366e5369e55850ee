"""Everything that is wrong with files, for `edgerun validate`: what a cluster would refuse, and what would not work.

An object that two files define is wrong in the second. A reference to nothing is a warning: what it names may be in a
cluster already, or in a file that was not given. So is an object of another API, but for a Namespace, which our objects
are in.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from ..api import GROUP, edgeproxy, originservice
from ..api.admission import Served, admit, foreign
from ..api.edgeroute import EdgeRoute
from ..api.meta import ObjectKey
from ..api.problems import Problem
from ..api.structure import near
from ..api.unsupported import unsupported
from .documents import Document, FileProblem, documents
from .entries import key_of
from .files import duplicate, yaml_files

MAX_LISTED = 5


class Severity(IntEnum):
    """An ERROR is refused; a WARNING is taken, and some requests then fail."""

    ERROR = 0
    WARNING = 1


@dataclass(frozen=True, slots=True, order=True)
class LocatedProblem:
    """One problem, and where to mend it. `line` is 0 when it is about the file as a whole; `key` is "" then, too."""

    path: Path
    line: int
    severity: Severity
    key: str
    problem: Problem

    def __str__(self) -> str:
        where = f"{self.path}:{self.line}" if self.line else str(self.path)
        label = "warning: " if self.severity is Severity.WARNING else ""
        return ": ".join(part for part in (where, self.key, f"{label}{self.problem}") if part)


@dataclass(frozen=True, slots=True)
class _Checked:
    """A document and what admission made of it."""

    document: Document
    key: ObjectKey | None
    object: Served | None
    problems: tuple[Problem, ...]


def report(paths: Iterable[Path]) -> tuple[LocatedProblem, ...]:
    """Every problem of every document in `paths`, which are files or folders, sorted by where they are."""
    read = [documents(path) for path in _files(paths)]
    every = [document for content in read for document in content.found]
    checked = [_checked(document) for document in every if not foreign(document.raw)]
    found = [_of_file(problem) for content in read for problem in content.problems]
    found += [_located(one, problem) for one in checked for problem in one.problems]
    found += _duplicates(checked)
    found += _dangling(checked)
    found += [_foreign(document) for document in every if foreign(document.raw) and not _is_namespace(document)]
    return tuple(sorted(set(found)))


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    """Each file once; a path that is not there is passed on, to be reported as such."""
    seen: set[Path] = set()
    for path in paths:
        for file in list(yaml_files(path)) if path.is_dir() else [path]:
            real = file.resolve()
            if real not in seen:
                seen.add(real)
                yield file


def _checked(document: Document) -> _Checked:
    admission = admit(document.raw)
    problems = admission.problems or (unsupported(admission.object) if admission.object else ())
    return _Checked(document, key_of(document.raw), admission.object, problems)


def _of_file(problem: FileProblem) -> LocatedProblem:
    return LocatedProblem(problem.path, problem.line, Severity.ERROR, "", Problem("", problem.message))


def _is_namespace(document: Document) -> bool:
    return (document.raw["apiVersion"], document.raw["kind"]) == ("v1", "Namespace")


def _foreign(document: Document) -> LocatedProblem:
    said = f"{document.raw['kind']} of {document.raw['apiVersion']} is not of {GROUP}: not looked at"
    return LocatedProblem(document.path, document.line, Severity.WARNING, "", Problem("", said))


def _located(checked: _Checked, problem: Problem, severity: Severity = Severity.ERROR) -> LocatedProblem:
    document = checked.document
    key = str(checked.key or "")
    return LocatedProblem(document.path, document.lines.line(problem.field), severity, key, problem)


def _duplicates(checked: Iterable[_Checked]) -> Iterator[LocatedProblem]:
    first: dict[ObjectKey, Document] = {}
    for one in checked:
        if one.key and first.setdefault(one.key, one.document) is not one.document:
            problem = duplicate(one.key, one.document, first[one.key])
            yield _located(one, Problem("metadata.name", problem.message))


def _dangling(checked: Iterable[_Checked]) -> Iterator[LocatedProblem]:
    """What routes refer to and no file has. The edge `default` is there without one."""
    every = list(checked)
    services = _services(every)
    edges = frozenset(one.key.name for one in every if one.key and one.key.kind == edgeproxy.KIND)
    for one in every:
        if isinstance(one.object, EdgeRoute):
            for field, namespace, name in _references(one.object):
                known = services.get(namespace, frozenset())
                if name not in known:
                    yield _located(one, Problem(field, _not_found(name, namespace, known)), Severity.WARNING)
            edge = one.object.spec.edge
            if edge not in (edgeproxy.DEFAULT_NAME, *edges):
                yield _located(one, Problem("spec.edge", _no_edge(edge, edges)), Severity.WARNING)


def _services(checked: Iterable[_Checked]) -> Mapping[str, frozenset[str]]:
    keys = {one.key for one in checked if one.key and one.key.kind == originservice.KIND}
    return {
        namespace: frozenset(key.name for key in keys if key.namespace == namespace)
        for namespace in {key.namespace for key in keys}
    }


def _references(route: EdgeRoute) -> Iterator[tuple[str, str, str]]:
    """Where an OriginService is named, its namespace and its name."""
    for index, rule in enumerate(route.spec.rules):
        for number, origin in enumerate(rule.origins):
            if origin.service:
                namespace = origin.service.namespace or route.metadata.namespace
                yield f"spec.rules[{index}].origins[{number}].service.name", namespace, origin.service.name


def _not_found(name: str, namespace: str, known: frozenset[str]) -> str:
    there = f"OriginServices there: {_listed(known)}" if known else "there is no OriginService of it"
    said = f'OriginService "{name}" of namespace {namespace} is in none of the files ({there})'
    return said + _hint(name, known)


def _no_edge(name: str, known: frozenset[str]) -> str:
    there = f"EdgeProxies there: {_listed(known)}" if known else "there is no EdgeProxy"
    return f'EdgeProxy "{name}" is in none of the files ({there}){_hint(name, {edgeproxy.DEFAULT_NAME, *known})}'


def _listed(names: Collection[str]) -> str:
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return ", ".join(sorted(names)[:MAX_LISTED]) + more


def _hint(name: str, known: Collection[str]) -> str:
    meant = near(name, known)
    return f'; did you mean "{meant}"?' if meant else ""
