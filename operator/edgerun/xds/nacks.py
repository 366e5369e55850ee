"""What a NACK says: which resources Envoy means, and its words, short enough for a condition.

Envoy applies the good resources of a CDS or LDS response and names the bad ones: "Error adding/updating cluster(s)
a: why, b: why". Every other type is refused without a name, and so is a response with a value out of bounds.
Trap: the words may hold a dump of whole protos, before or after the sentence that matters.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

MESSAGE_CHARS = 800  # with the object's name and our own words around it, a condition stays readable
_NAMED = re.compile(r"^Error adding/updating (?:cluster|listener)\(s\) (.*)", re.DOTALL)
_DUMP_BEFORE = re.compile(r"^goo\.gle/.*?(?=Proto constraint validation failed \()", re.DOTALL)
_DUMP_AFTER = re.compile(r"(Proto constraint validation failed \(.*?\)): .*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Nack:
    """`names` are the resources at fault, empty as long as they are not told from the innocent ones beside them.

    `serial` is the snapshot that the refused response brought the client nearer to.
    """

    type_url: str
    names: tuple[str, ...]
    message: str
    serial: int


def accused(names: Iterable[str], text: str) -> tuple[str, ...]:
    """Those of `names` that Envoy's `text` calls bad."""
    found = _NAMED.match(text)
    if not found:
        return ()
    listed = ", " + found[1]
    return tuple(name for name in names if f", {name}: " in listed)


def trimmed(text: str) -> str:
    """The sentence that matters, on one line."""
    line = " ".join(_DUMP_AFTER.sub(r"\1", _DUMP_BEFORE.sub("", text)).split())
    return line if len(line) <= MESSAGE_CHARS else line[: MESSAGE_CHARS - 1] + "…"
