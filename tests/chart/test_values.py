"""What may be said in values: every value has words and a schema, and a mistake is refused where it is made."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml
from tools import chart as tool

from support.chart import CHART, refusal, render

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
# Parts of a PodSpec or a NetworkPolicy that only an API server knows in full; and what is for other charts.
FREE = {"affinity.*", "extraEnv.valueFrom", "topologySpreadConstraints.labelSelector", "networkPolicy.*", "global"}

MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "a name that there is not": ({"replica": 3}, "additional properties 'replica' not allowed"),
    "one in a group": ({"image": {"tags": "1"}}, "at '/image': additional properties 'tags' not allowed"),
    "a word for a number": ({"replicas": "two"}, "at '/replicas': got string, want integer"),
    "a number for a word": ({"image": {"tag": 1.0}}, "at '/image/tag': got number, want string"),
    "a word for a list": ({"watchNamespaces": "shop"}, "at '/watchNamespaces': got string, want array"),
    "a namespace twice": ({"watchNamespaces": ["a", "a"]}, "at '/watchNamespaces': items at 0 and 1 are equal"),
    "none of the choices": (
        {"image": {"pullPolicy": "Sometimes"}},
        "at '/image/pullPolicy': value must be one of 'Always', 'IfNotPresent', 'Never'",
    ),
    "too few": ({"replicas": -1}, "at '/replicas': minimum: got -1, want 0"),
    "half a digest": ({"image": {"digest": "sha256:12"}}, "at '/image/digest': 'sha256:12' does not match pattern"),
    "a name too long": ({"fullnameOverride": "a" * 41}, "at '/fullnameOverride'"),
    "a switch that is a word": ({"crds": {"keep": "yes"}}, "at '/crds/keep': got string, want boolean"),
    "a label that is a number": ({"podLabels": {"a": 1}}, "at '/podLabels/a': got number, want string"),
    "an unknown field of a toleration": (
        {"tolerations": [{"kye": "a"}]},
        "at '/tolerations/0': additional properties 'kye' not allowed",
    ),
    "a variable without a name": ({"extraEnv": [{"value": "a"}]}, "at '/extraEnv/0': missing property 'name'"),
    "an unknown field of the fleet": (
        {"defaultEdgeProxy": {"replica": 3}},
        "at '/defaultEdgeProxy': additional properties 'replica' not allowed",
    ),
    "an issuer without TLS": ({"credentials": {"issuer": "http://i"}}, "at '/credentials/issuer': 'http://i' does not"),
    "an issuer with a slash": (
        {"credentials": {"issuer": "https://i/"}},
        "at '/credentials/issuer': 'https://i/' does",
    ),
    "a trust domain in capitals": (
        {"credentials": {"trustDomain": "A"}},
        "at '/credentials/trustDomain': 'A' does not",
    ),
    "a life in days": ({"credentials": {"tokenLife": "1d"}}, "at '/credentials/tokenLife': '1d' does not match"),
    "a renewal at the end": (
        {"credentials": {"tokenRenewal": 1}},
        "at '/credentials/tokenRenewal': maximum: got 1, want 0.9",
    ),
    "a type of Service that there is not": (
        {"defaultEdgeProxy": {"serviceType": "ExternalName"}},
        "at '/defaultEdgeProxy/serviceType': value must be one of 'ClusterIP', 'NodePort', 'LoadBalancer'",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_refused_with_its_place(mistake: str) -> None:
    values, message = MISTAKES[mistake]
    assert message in refusal(values)


def test_a_chart_that_depends_on_this_one_may_have_global_values() -> None:
    assert render({"global": {"registry": "r.example"}}) == render()


def test_the_files_that_are_made_are_current() -> None:
    wanted = tool.outputs()
    stale = [path.name for path, content in wanted.items() if not path.exists() or path.read_bytes() != content]
    assert not stale, "run: make chart"
    assert set((CHART / "files" / "crds").iterdir()) <= wanted.keys(), "run: make chart"


def test_every_value_is_explained_and_in_the_schema() -> None:
    text = (CHART / "values.yaml").read_text()
    explained = {value.name: value for value in tool.values(text)}
    for value in explained.values():
        assert value.text.endswith("."), value.name
        assert at(SCHEMA, value.path)["description"], value.name
    for path in paths(yaml.safe_load(text)):
        covered = [explained.get(".".join(path[:length])) for length in range(1, len(path) + 1)]
        assert all(covered) or any(one and one.schema for one in covered), ".".join(path)


def test_no_object_takes_names_that_nobody_knows() -> None:
    for path, schema in schemas("", SCHEMA):
        if schema.get("type") == "object" and "additionalProperties" not in schema:
            assert path in FREE or f"{path.rpartition('.')[0]}.*" in FREE or path.partition(".")[0] + ".*" in FREE, path


def paths(data: Mapping[str, Any], parent: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, inner in data.items():
        yield (*parent, name)
        if isinstance(inner, dict):
            yield from paths(inner, (*parent, name))


def at(schema: Mapping[str, Any], path: tuple[str, ...]) -> Mapping[str, Any]:
    for name in path:
        schema = schema["properties"][name]
    return schema


def schemas(path: str, schema: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every schema with where it is; an item is where its list is."""
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from schemas(f"{path}.{name}".lstrip("."), inner)
    if "items" in schema:
        yield from schemas(path, schema["items"])
    if isinstance(schema.get("additionalProperties"), dict):
        yield from schemas(path, schema["additionalProperties"])
