"""What revisions are called: `cart-00004`, or what the user says in `template.metadata.name`.

A number is given out once, also when its revision is gone. A name that a user gives and that looks like a numbered one
takes the number, so that no later revision is to be called the same.
"""

import re
from collections.abc import Iterator
from hashlib import blake2b

from ...api.problems import Problem

FIELD = "spec.template.metadata.name"
MAX_NAME = 63  # of a label, which tells the pods of one revision from those of another
_DIGITS = 5
_MOST_DIGITS = 9  # beyond them it is a name like any other
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


def numbered(service: str, number: int) -> str:
    """The name of a revision to which the user gives none."""
    suffix = f"-{number:0{_DIGITS}}"
    return _stem(service, MAX_NAME - len(suffix)) + suffix


def number_of(service: str, name: str) -> int | None:
    """The number of a name of that form; None of any other."""
    digits = name.rpartition("-")[2]
    if not (_DIGITS <= len(digits) <= _MOST_DIGITS and digits.isascii() and digits.isdecimal()):
        return None
    return int(digits) if numbered(service, int(digits)) == name else None


def name_problems(service: str, given: str) -> Iterator[Problem]:
    """What is wrong with a name that the user gives, wherever it stands."""
    if len(given) > MAX_NAME or not _LABEL.fullmatch(given):
        wanted = f"at most {MAX_NAME} characters a-z, 0-9 and -, the first and the last none of -"
        yield Problem(FIELD, f'"{given}" is not a DNS 1123 label: {wanted}')
    if not given.startswith(f"{service}-"):
        yield Problem(FIELD, f'"{given}" must have prefix "{service}-"; leave the name away, and it is made')


def _stem(service: str, room: int) -> str:
    """The name of the service, or what tells it from all others where there is no room for it."""
    if len(service) <= room:
        return service
    digest = blake2b(service.encode(), digest_size=4).hexdigest()
    return f"{service[: room - len(digest) - 1]}-{digest}"
