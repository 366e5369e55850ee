"""The CRDs as the control plane reads them: the kinds, their defaults, and the tree of their schemas.

Owns loading and defaulting; what is wrong with an object is said by `structure` and `rules`. A folder has no API
server, so both do here what one does there: a null is dropped, a default fills its place, unknown fields are errors.

Trap: defaults are shared between all objects that they fill in. A completed value is never changed in place.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema_rs
import yaml

from . import VERSION
from .originrevision import KIND as ORIGIN_REVISION
from .twins import TWINS, WORDS, Twin, Words

Schema = Mapping[str, Any]

# Kubernetes' ObjectMeta, of which a CRD may say nothing. Anything that a server writes is taken as it comes.
_NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
_TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[-+][0-9]{2}:[0-9]{2})$"
_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
_STRINGS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
_STRING: Schema = {"type": "string"}
_METADATA: Schema = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 253, "pattern": _NAME},
        "namespace": {"type": "string", "minLength": 1, "maxLength": 63, "pattern": _LABEL},
        "generateName": _STRING,
        "labels": _STRINGS,
        "annotations": _STRINGS,
        "uid": _STRING,
        "resourceVersion": _STRING,
        "selfLink": _STRING,
        "generation": {"type": "integer", "minimum": 0},
        "creationTimestamp": {"type": "string", "pattern": _TIME},
        "deletionTimestamp": _STRING,
        "deletionGracePeriodSeconds": {"type": "integer"},
        "finalizers": {"type": "array"},
        "ownerReferences": {"type": "array"},
        "managedFields": {"type": "array"},
    },
}
OPERATORS_OWN = frozenset((ORIGIN_REVISION,))  # kinds that no user writes
_WORDS = ("type", "enum", "pattern", "required")
_BOUNDS = ("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")


@dataclass(frozen=True, slots=True)
class Rule:
    """One of `x-kubernetes-validations`. `field` is where it points, relative to the value that it is about."""

    text: str
    holds: Twin
    says: Words
    field: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Node:
    """One schema of the tree. `values` is that of a map's values; `checked` says that rules are in or below it."""

    properties: Mapping[str, "Node"]
    items: "Node | None"
    values: "Node | None"
    defaults: tuple[tuple[str, Any], ...]
    rules: tuple[Rule, ...]
    list_type: str
    list_keys: tuple[str, ...]
    checked: bool

    @property
    def deep(self) -> bool:
        """Whether there is something below."""
        return bool(self.properties or self.items or self.values)

    def child(self, step: str | int) -> "Node | None":
        """The schema of a field, of a map's value or of a list's item."""
        return self.items if isinstance(step, int) else self.properties.get(step, self.values)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind. `schema` is the CRD's own, `checker` checks the structure of a completed value and is fast at it."""

    name: str
    schema: Schema
    root: Node
    checker: jsonschema_rs.Validator


@cache
def kinds() -> Mapping[str, Kind]:
    """All kinds that users write, by name."""
    found = [kind_of(definition) for definition in definitions() if _kind_name(definition) not in OPERATORS_OWN]
    return {kind.name: kind for kind in sorted(found, key=lambda kind: kind.name)}


def definitions() -> Iterator[Mapping[str, Any]]:
    """The CustomResourceDefinitions: in a wheel beside the package, in a checkout at its root."""
    packaged = resources.files("edgerun") / "_crds"
    folder = packaged if packaged.is_dir() else Path(__file__).parents[3] / "crds"
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".yaml"):
            yield yaml.load(file.read_text("utf-8"), Loader=yaml.CSafeLoader)


def completed(node: Node, value: Any) -> Any:
    """`value` as an API server would store it: without nulls, with defaults."""
    if isinstance(value, dict):
        return _completed_object(node, value)
    if isinstance(value, list | tuple) and node.items:
        return [completed(node.items, item) for item in value] if node.items.deep else list(value)
    return value


def _completed_object(node: Node, value: Mapping[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, given in value.items():
        child = node.properties.get(key, node.values)
        if child is None:
            out[key] = given
        elif given is not None:
            out[key] = completed(child, given) if child.deep else given
    for key, default in node.defaults:
        out.setdefault(key, default)
    return out


def _kind_name(definition: Mapping[str, Any]) -> str:
    name: str = definition["spec"]["names"]["kind"]
    return name


def kind_of(definition: Mapping[str, Any]) -> Kind:
    """The kind that a CustomResourceDefinition defines."""
    versions = definition["spec"]["versions"]
    version = next(version for version in versions if version["name"] == VERSION)
    schema = version["schema"]["openAPIV3Schema"]
    properties = {**schema["properties"], "metadata": _METADATA}
    read = {**schema, "properties": properties, "required": ["metadata", *schema["required"]]}
    checker = jsonschema_rs.Draft202012Validator(strict(read))
    return Kind(_kind_name(definition), schema, _node(read), checker)


def _node(schema: Schema) -> Node:
    properties = {name: _node(child) for name, child in schema.get("properties", {}).items()}
    defaults = {name: child["default"] for name, child in schema.get("properties", {}).items() if "default" in child}
    items = _node(schema["items"]) if "items" in schema else None
    values = _node(schema["additionalProperties"]) if "additionalProperties" in schema else None
    rules = tuple(_rule(rule) for rule in schema.get("x-kubernetes-validations", ()) if not about_change(rule))
    list_type = schema.get("x-kubernetes-list-type", "atomic")
    below = (*properties.values(), items, values)
    return Node(
        properties=properties,
        items=items,
        values=values,
        defaults=tuple((name, completed(properties[name], default)) for name, default in defaults.items()),
        rules=rules,
        list_type=list_type,
        list_keys=tuple(schema.get("x-kubernetes-list-map-keys", ())),
        checked=bool(rules) or list_type != "atomic" or any(child.checked for child in below if child),
    )


def about_change(rule: Mapping[str, str]) -> bool:
    """Whether it compares with what was before: only an API server knows that."""
    return "oldSelf" in rule["rule"]


def _rule(rule: Mapping[str, str]) -> Rule:
    field, text = rule.get("fieldPath", "").removeprefix("."), rule["rule"]
    return Rule(text, TWINS[text], _words(rule), tuple(field.split(".")) if field else ())


def _words(rule: Mapping[str, str]) -> Words:
    """A message that says what was given is an expression, and has a twin, too."""
    message = rule["message"]
    return WORDS[rule["messageExpression"]] if "messageExpression" in rule else lambda value: message


def strict(schema: Schema) -> dict[str, Any]:
    """What JSON Schema can say of it, and that there are no other fields but where all are passed on."""
    out = {word: schema[word] for word in (*_WORDS, *_BOUNDS) if word in schema}
    if schema.get("x-kubernetes-int-or-string"):
        out["type"] = ["integer", "string"]
    if "items" in schema:
        out["items"] = strict(schema["items"])
    if "properties" in schema:
        out["properties"] = {name: strict(child) for name, child in schema["properties"].items()}
        out["additionalProperties"] = schema.get("x-kubernetes-preserve-unknown-fields", False)
    elif "additionalProperties" in schema:
        out["additionalProperties"] = strict(schema["additionalProperties"])
    return out
