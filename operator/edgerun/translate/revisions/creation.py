"""Which revision a template is: one that there is, or a new one.

The answer depends on what is there alone. Whoever dies before or after writing a new revision, and whoever believes to
lead beside another, comes to the same name; a revision is never written over, so the second of two that differ is
refused by the API server.

Trap: the number that is remembered is one that was seen, never one that is about to be given. Else whoever looks twice
before the revision shows up would make two.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime

from ...api.problems import Problem
from ...api.templates import Template
from .naming import FIELD, name_problems, number_of, numbered
from .revision import MAX_NAMED, Revision, Revisions, changed_fields, newest, same


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The template of an OriginService, and the `name` that its user gives to the revision, "" for none."""

    service: str
    template: Template
    name: str = ""


@dataclass(frozen=True, slots=True)
class Current:
    """`revision` is that of the template; it is to be made when it is `new`. With problems it is the one before."""

    revision: Revision | None
    new: bool = False
    problems: tuple[Problem, ...] = ()


def current(
    wanted: Wanted,
    revisions: Revisions,
    *,
    before: str = "",
    remembered: int = 0,
    taken: Collection[str] = (),
    now: datetime,
) -> Current:
    """`before` is what was the current one, `remembered` the highest number that was seen; `taken` are names of
    revisions of other OriginServices."""
    last = newest(revisions)
    if wanted.name:
        return _named(wanted, revisions, revisions.get(before) or last, remembered, taken, now)
    if last is not None and not last.given and same(last.template, wanted.template):
        return Current(last)
    number = highest(wanted.service, revisions, remembered) + 1
    while numbered(wanted.service, number) in taken:
        number += 1
    return Current(_made(wanted, numbered(wanted.service, number), number, now), new=True)


def highest(service: str, revisions: Revisions, remembered: int) -> int:
    """The highest number that was ever given out, as far as is known."""
    spelled = (number_of(service, name) or 0 for name in revisions)
    return max((remembered, *(one.number for one in revisions.values()), *spelled))


def _named(
    wanted: Wanted,
    revisions: Revisions,
    before: Revision | None,
    remembered: int,
    taken: Collection[str],
    now: datetime,
) -> Current:
    found = revisions.get(wanted.name)
    if found is not None:
        if same(found.template, wanted.template):
            return Current(found)
        return Current(before, problems=(_changed(found, wanted, unchanged_name=found is before),))
    known = highest(wanted.service, revisions, remembered)
    if problems := (*name_problems(wanted.service, wanted.name), *_lost(wanted, known, taken)):
        return Current(before, problems=problems)
    number = number_of(wanted.service, wanted.name) or known + 1
    return Current(_made(wanted, wanted.name, number, now), new=True)


def _lost(wanted: Wanted, known: int, taken: Collection[str]) -> Iterator[Problem]:
    """Whether somebody else has, or had, that name."""
    number = number_of(wanted.service, wanted.name)
    if wanted.name in taken:
        yield Problem(FIELD, f'revision "{wanted.name}" is that of another OriginService; give another name, or none')
    elif number is not None and number <= known:
        following = numbered(wanted.service, known + 1)
        yield Problem(FIELD, f'"{wanted.name}" is the name of a revision that is gone; the next one is {following}')


def _made(wanted: Wanted, name: str, number: int, now: datetime) -> Revision:
    return Revision(name=name, number=number, template=wanted.template, created=now, given=bool(wanted.name))


def _changed(found: Revision, wanted: Wanted, *, unchanged_name: bool) -> Problem:
    fields = changed_fields(found.template, wanted.template)
    more = f" and {len(fields) - MAX_NAMED} more" if len(fields) > MAX_NAMED else ""
    said = (
        f"saw the following changes without a name change: {', '.join(fields[:MAX_NAMED])}{more}"
        if unchanged_name
        else f'revision "{found.name}" is there already, of another template'
    )
    return Problem(FIELD, f"{said}; a revision never changes, so give another name, or none")
