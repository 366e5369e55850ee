"""What is wrong with an object, said so that its author can mend it.

A user's mistake is a value, never an exception: all of them are collected and shown at once.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from .meta import ObjectKey

REJECTED_BY_PROXY = "RejectedByProxy"

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake. `field` is a path such as `spec.rules[0].matches[1].path.value`, "" for the object as a whole.

    `message` names what was given, what is allowed and the way out; it does not repeat the field.
    """

    field: str
    message: str

    def __str__(self) -> str:
        named = not self.field or f'"{self.field}"' in self.message  # an unknown field is named by its message
        return self.message if named else f"{self.field}: {self.message}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the newest version of an object is not the one that serves.

    `reason` is CamelCase, for the Accepted condition: Invalid (schema or rules of the CRD), UnsupportedValue
    (well formed, but Envoy could not run it), RejectedByProxy (a proxy said no).
    """

    key: ObjectKey
    generation: int
    reason: str
    message: str


def field_path(path: Iterable[str | int]) -> str:
    """`("spec", "rules", 0)` as `spec.rules[0]`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def summary(problems: Iterable[Problem]) -> str:
    """All problems as one message, in a stable order."""
    return "; ".join(str(problem) for problem in sorted(problems))
