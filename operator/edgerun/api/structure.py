"""What is wrong with the structure of an object, in kube-apiserver's own words.

Whoever knows a message from a cluster meets the same one here, and one table of bad objects proves it for both.
Unknown fields are the exception: an API server only names them, this says also what was probably meant.
"""

import difflib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import jsonschema_rs

from .problems import Path, Problem, field_path
from .schema import Kind, Node

_NAME_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_CLOSE_ENOUGH = 0.6  # difflib's own default: one slip in a short word


def structure_problems(kind: Kind, value: Any) -> Iterator[tuple[Path, Problem]]:
    """Each problem, and the path of the value that it is about."""
    errors = list(kind.checker.iter_errors(value))
    too_long = {tuple(error.instance_path) for error in errors if error.kind.name in ("maxLength", "minLength")}
    for error in errors:
        path = tuple(error.instance_path)
        if error.kind.name == "pattern" and path in too_long:
            continue  # an API server stops at the length
        yield from _problems(kind, error, path)


def near(name: str, known: Iterable[str]) -> str:
    """What was probably meant, or "" when nothing is near."""
    lower = {word.lower(): word for word in known}
    found = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=_CLOSE_ENOUGH)
    return lower[found[0]] if found else ""


def quoted(value: Any) -> str:
    """A value as Go prints it in a field error."""
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    return _CONTROL.sub(_go_escape, json.dumps(value, ensure_ascii=False)).replace("\x7f", "\\x7f")


_CONTROL = re.compile(r"(?<!\\)((?:\\\\)*)\\u00([01][0-9a-f])")
_GO_ESCAPES = {"07": "\\a", "0b": "\\v"}


def _go_escape(found: re.Match[str]) -> str:
    return found[1] + _GO_ESCAPES.get(found[2], f"\\x{found[2]}")


def _problems(kind: Kind, error: jsonschema_rs.ValidationError, path: Path) -> Iterator[tuple[Path, Problem]]:
    details = error.kind.as_dict()
    match error.kind.name:
        case "required":
            missing = (*path, details["property"])
            yield missing, Problem(field_path(missing), "Required value")
        case "additionalProperties":
            for name in sorted(details["unexpected"]):
                yield (*path, name), _unknown(kind.root, path, name)
        case word:
            yield path, Problem(field_path(path), _WORDING[word](error.instance, details, field_path(path)))


def _unknown(root: Node, path: Path, name: str) -> Problem:
    node: Node | None = root
    for step in path:
        node = node.child(step) if node else None
    known = sorted(node.properties) if node else []
    field = field_path((*path, name))
    meant = near(name, known)
    hint = f'did you mean "{meant}"?' if meant else f"allowed here: {', '.join(known)}"
    return Problem(field, f"unknown field {quoted(field)}; {hint}")


Wording = Callable[[Any, Mapping[str, Any], str], str]


def _type(value: Any, details: Mapping[str, Any], field: str) -> str:
    kind, wanted = quoted(_json_type(value)), ",".join(details["types"])
    # YAML reads yes, on, 1 and 1.10 as no strings: the most common slip of all.
    hint = "; put it in quotes" if wanted == "string" and isinstance(value, bool | int | float) else ""
    return f"Invalid value: {kind}: {field} in body must be of type {wanted}: {kind}{hint}"


def _json_type(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def _enum(value: Any, details: Mapping[str, Any], field: str) -> str:
    options = ", ".join(quoted(str(option)) for option in details["options"])
    return f"Unsupported value: {quoted(value)}: supported values: {options}"


def _pattern(value: Any, details: Mapping[str, Any], field: str) -> str:
    if field == "metadata.name":
        return f"Invalid value: {quoted(value)}: {_NAME_RULE}"
    return f"Invalid value: {quoted(value)}: {field} in body should match '{details['pattern']}'"


def _too_long(value: Any, details: Mapping[str, Any], field: str) -> str:
    return f"Too long: may not be more than {_count(details['limit'], 'byte')}"


def _too_many(value: Any, details: Mapping[str, Any], field: str) -> str:
    return f"Too many: {len(value)}: must have at most {_count(details['limit'], 'item')}"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _compared(words: str, unit: str = "") -> Wording:
    def say(value: Any, details: Mapping[str, Any], field: str) -> str:
        given = len(value) if isinstance(value, list | dict) else quoted(value)
        return f"Invalid value: {given}: {field} in body should {words} {details['limit']}{unit}"

    return say


_WORDING: Mapping[str, Wording] = {
    "type": _type,
    "enum": _enum,
    "pattern": _pattern,
    "maxLength": _too_long,
    "maxItems": _too_many,
    "maxProperties": _too_many,
    "minLength": _compared("be at least", " chars long"),
    "minItems": _compared("have at least", " items"),
    "minProperties": _compared("have at least", " properties"),
    "maximum": _compared("be less than or equal to"),
    "minimum": _compared("be greater than or equal to"),
}
