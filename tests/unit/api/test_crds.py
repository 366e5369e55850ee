"""The CRDs: what an API server asks of them, and that Structs and rules agree with them."""

import inspect
import re
import types
import typing
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

import msgspec
import pytest
from tools import crds

from edgerun.api import GROUP, VERSION, edgeproxy, edgeroute, originrevision, originservice, schema
from edgerun.api.meta import Condition
from edgerun.api.resources import RESOURCES
from edgerun.api.twins import TWINS, WORDS

Schema = Mapping[str, Any]
DEFINITIONS = list(schema.definitions())
DEFINED = {kind.name: kind for kind in map(schema.kind_of, DEFINITIONS)}
KINDS = sorted(DEFINED)
SHAPES: Mapping[str, tuple[type, type]] = {
    edgeproxy.KIND: (edgeproxy.EdgeProxySpec, edgeproxy.EdgeProxyStatus),
    edgeroute.KIND: (edgeroute.EdgeRouteSpec, edgeroute.EdgeRouteStatus),
    originrevision.KIND: (originrevision.OriginRevisionSpec, originrevision.OriginRevisionStatus),
    originservice.KIND: (originservice.OriginServiceSpec, originservice.OriginServiceStatus),
}


def nodes(node: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    """Every schema of the tree, with where it stands."""
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for word, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if word in node:
            yield from nodes(node[word], path + mark)


ALL = [(path, node) for kind in KINDS for path, node in nodes(DEFINED[kind].schema, kind)]
OURS = [(path, node) for path, node in ALL if not path.endswith(".metadata") or ".spec" in path]


def test_all_kinds_are_defined_as_the_constants_say() -> None:
    assert sorted(SHAPES) == KINDS
    for definition in DEFINITIONS:
        spec, names = definition["spec"], definition["spec"]["names"]
        scope = "Namespaced" if RESOURCES[names["kind"]].namespaced else "Cluster"
        assert (spec["group"], spec["scope"]) == (GROUP, scope)
        assert definition["metadata"]["name"] == f"{names['plural']}.{GROUP}"
        assert names["categories"] == ["edgerun"]
        (version,) = spec["versions"]
        assert (version["name"], version["served"], version["storage"]) == (VERSION, True, True)
        assert version["subresources"]["status"] == {}
        columns = [column["name"] for column in version["additionalPrinterColumns"] if not column.get("priority")]
        assert "Ready" in columns[:2]
        assert columns[-2:] == ["Reason", "Age"]


def test_users_write_every_kind_but_the_operators_own() -> None:
    assert schema.kinds().keys() == DEFINED.keys() - {originrevision.KIND}


def test_the_template_of_a_revision_is_that_of_its_service_word_for_word() -> None:
    assert crds.REVISIONS.read_text() == crds.revisions(), "run: make crds"
    service, revision = (
        DEFINED[kind].schema["properties"]["spec"]["properties"]["template"]
        for kind in (originservice.KIND, originrevision.KIND)
    )
    assert service["properties"] == revision["properties"]
    assert service["required"] == revision["required"]


def test_the_smallest_number_of_replicas_is_there_to_be_scaled() -> None:
    """An API server shows no scale of an object without it."""
    (definition,) = (one for one in DEFINITIONS if one["spec"]["names"]["kind"] == originservice.KIND)
    scale = definition["spec"]["versions"][0]["subresources"]["scale"]
    assert scale == {"specReplicasPath": ".spec.scaling.minScale", "statusReplicasPath": ".status.replicas.ready"}
    scaling = DEFINED[originservice.KIND].schema["properties"]["spec"]["properties"]["scaling"]
    assert scaling["default"] == {}
    assert scaling["properties"]["minScale"]["default"] == 1


@pytest.mark.parametrize(("path", "node"), OURS, ids=[path for path, _ in OURS])
def test_every_field_is_described_in_a_sentence(path: str, node: Schema) -> None:
    assert re.fullmatch(r"[A-Z].{5,}[.]", node.get("description", "")), path


@pytest.mark.parametrize(("path", "node"), ALL, ids=[path for path, _ in ALL])
def test_every_schema_is_structural_and_bounded(path: str, node: Schema) -> None:
    """What an API server demands of a structural schema, and bounds, without which rules would cost too much."""
    assert not node.keys() & {"$ref", "nullable", "uniqueItems", "oneOf", "not", "patternProperties", "definitions"}
    if node.get("x-kubernetes-int-or-string"):
        assert "type" not in node
        return
    match node["type"]:
        case "array":
            assert node["x-kubernetes-list-type"] in ("atomic", "set", "map")
            assert "maxItems" in node
        case "object":
            assert not ("properties" in node and "additionalProperties" in node)
            assert "maxProperties" in node or "additionalProperties" not in node
            passed_on = node.get("x-kubernetes-preserve-unknown-fields") is True
            known = node.keys() & {"properties", "additionalProperties"}
            assert known or passed_on or path.endswith(".metadata")
        case "string":
            assert node.keys() & {"maxLength", "enum"} or path.count(".") == 1
        case "integer":
            assert node["format"] in ("int32", "int64")
            assert "minimum" in node or "enum" in node
        case "number":
            assert node.keys() & {"minimum", "maximum"}
        case other:
            assert other == "boolean"


@pytest.mark.parametrize(("path", "node"), ALL, ids=[path for path, _ in ALL])
def test_the_keys_of_a_list_map_are_required_or_defaulted(path: str, node: Schema) -> None:
    for key in node.get("x-kubernetes-list-map-keys", ()):
        item = node["items"]
        assert key in item.get("required", ()) or "default" in item["properties"][key], path


@pytest.mark.parametrize(("path", "node"), ALL, ids=[path for path, _ in ALL])
def test_a_pattern_is_anchored_and_a_default_is_valid(path: str, node: Schema) -> None:
    pattern = node.get("pattern")
    if pattern:
        assert pattern.startswith("^"), path
        assert pattern.endswith("$"), path
    if isinstance(node.get("default"), str):
        assert re.search(pattern or "", node["default"])
        assert node["default"] in node.get("enum", [node["default"]])


def test_every_rule_has_a_twin_and_every_twin_a_rule() -> None:
    rules = [rule for _, node in ALL for rule in node.get("x-kubernetes-validations", ())]
    assert {rule["rule"] for rule in rules if not schema.about_change(rule)} == set(TWINS)
    assert {rule["messageExpression"] for rule in rules if "messageExpression" in rule} == set(WORDS)


def test_every_rule_says_what_is_wrong_in_one_line_without_a_full_stop() -> None:
    for path, node in ALL:
        for rule in node.get("x-kubernetes-validations", ()):
            assert 20 < len(rule["message"]) < 300, path
            assert "\n" not in rule["message"] + rule["rule"], path
            assert not rule["message"].endswith("."), path


def test_a_field_path_of_a_rule_leads_to_a_field() -> None:
    for path, node in ALL:
        for rule in node.get("x-kubernetes-validations", ()):
            found = node
            for step in rule.get("fieldPath", "").split(".")[1:]:
                assert step in found["properties"], (path, rule["fieldPath"])
                found = found["properties"][step]


def pairs(node: Schema, shape: Any, path: str) -> Iterator[tuple[str, Schema, Any]]:
    """Each schema of an object beside the Struct for it."""
    shape = bare(shape)
    if inspect.isclass(shape) and issubclass(shape, msgspec.Struct):
        yield path, node, shape
        for field in msgspec.structs.fields(shape):
            if field.encode_name in node["properties"]:
                child = node["properties"][field.encode_name]
                yield from pairs(child, field.type, f"{path}.{field.encode_name}")
    elif typing.get_origin(shape) is tuple:
        yield from pairs(node["items"], typing.get_args(shape)[0], f"{path}[]")


def bare(shape: Any) -> Any:
    """The type without `| None`."""
    if isinstance(shape, types.UnionType):
        (*rest,) = (part for part in typing.get_args(shape) if part is not type(None))
        return rest[0] if len(rest) == 1 else tuple(rest)
    return shape


PAIRS = [
    pair
    for kind, (spec, status) in SHAPES.items()
    for part, shape in (("spec", spec), ("status", status))
    for pair in pairs(DEFINED[kind].schema["properties"][part], shape, f"{kind}.{part}")
]
IN_STATUS = ".status"


@pytest.mark.parametrize(("path", "node", "shape"), PAIRS, ids=[path for path, _, _ in PAIRS])
def test_struct_and_schema_have_the_same_fields(path: str, node: Schema, shape: Any) -> None:
    assert {field.encode_name for field in msgspec.structs.fields(shape)} == set(node["properties"])


@pytest.mark.parametrize(("path", "node", "shape"), PAIRS, ids=[path for path, _, _ in PAIRS])
def test_struct_and_schema_require_the_same_fields(path: str, node: Schema, shape: Any) -> None:
    if shape is Condition or IN_STATUS in path:
        return  # written by the control plane: KEP-1623 says what it has to write
    for field in msgspec.structs.fields(shape):
        assert field.required == (field.encode_name in node.get("required", ())), f"{path}.{field.encode_name}"


@pytest.mark.parametrize(("path", "node", "shape"), PAIRS, ids=[path for path, _, _ in PAIRS])
def test_struct_and_schema_have_the_same_defaults(path: str, node: Schema, shape: Any) -> None:
    """A field that the schema does not default is empty in the Struct; both mean "not given"."""
    if IN_STATUS in path:
        return
    for field in msgspec.structs.fields(shape):
        child = node["properties"][field.encode_name]
        if field.required:
            assert "default" not in child
            continue
        default = msgspec.convert(child["default"], field.type) if "default" in child else None
        given = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
        assert given == default or ("default" not in child and is_empty(given)), f"{path}.{field.encode_name}"


def is_empty(value: Any) -> bool:
    """Whether it is what an empty document parses into."""
    if isinstance(value, msgspec.Struct):
        return value == type(value)()
    return not value


@pytest.mark.parametrize(("path", "node", "shape"), PAIRS, ids=[path for path, _, _ in PAIRS])
def test_struct_and_schema_have_the_same_enums(path: str, node: Schema, shape: Any) -> None:
    for field in msgspec.structs.fields(shape):
        kind = bare(field.type)
        options = node["properties"][field.encode_name].get("enum")
        if inspect.isclass(kind) and issubclass(kind, Enum):
            assert [option.value for option in kind] == options, f"{path}.{field.encode_name}"
        elif typing.get_origin(kind) is typing.Literal:
            assert list(typing.get_args(kind)) == options, f"{path}.{field.encode_name}"
