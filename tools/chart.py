"""Writes what the chart has of other files: its copies of crds/, values.schema.json, and docs/reference/chart.md.

The last two are made from the comments of values.yaml, which are the words of everything. `SHAPES` holds what
Kubernetes defines; as deep as a typo is likely, and deeper only an API server looks.

Trap: the copies stay byte for byte what crds/ has. What the release adds to them is added by the template.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tools.reference import bounds, escaped, item, shown, wrapped

from edgerun.api.schema import strict

ROOT = Path(__file__).resolve().parents[1]
CHART = ROOT / "charts" / "edgerun"
_KEY = re.compile(r"^(?P<indent> *)(?P<name>[A-Za-z_]\w*):")
_COMMENT = re.compile(r"^ *# ?(?P<text>.*)$")
_SCHEMA = "schema:"
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Value:
    """One value. `schema` is what its comment says beyond the default; it speaks for all below it, too."""

    path: tuple[str, ...]
    text: str
    schema: Schema | str | None
    default: Any

    @property
    def name(self) -> str:
        return ".".join(self.path)


def main() -> None:
    wanted = outputs()
    for path in (CHART / "files" / "crds").glob("*"):
        if path not in wanted:
            path.unlink()
    for path, content in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def outputs() -> dict[Path, bytes]:
    """Every file that is made, and what is in it."""
    found = tuple(values((CHART / "values.yaml").read_text()))
    copies = {CHART / "files" / "crds" / path.name: path.read_bytes() for path in (ROOT / "crds").glob("*.yaml")}
    schema = json.dumps(root_schema(found), indent=2, ensure_ascii=False) + "\n"
    return copies | {
        CHART / "values.schema.json": schema.encode(),
        ROOT / "docs" / "reference" / "chart.md": page(found).encode(),
    }


def values(text: str) -> Iterator[Value]:
    """The values in their order. One without a comment of its own is part of the one above it."""
    data = yaml.safe_load(text)
    comment: list[str] = []
    path: tuple[str, ...] = ()
    for line in text.splitlines():
        if found := _COMMENT.match(line):
            comment.append(found["text"])
            continue
        if key := _KEY.match(line):
            path = (*path[: len(key["indent"]) // 2], key["name"])
            if comment:
                yield _value(path, comment, data)
        comment = []


def _value(path: tuple[str, ...], comment: list[str], data: Any) -> Value:
    said = next((line for line in comment if line.startswith(_SCHEMA)), None)
    prose = " ".join(line for line in comment if line is not said)
    for name in path:
        data = data[name]
    return Value(path, prose, yaml.safe_load(said[len(_SCHEMA) :]) if said else None, data)


def root_schema(found: tuple[Value, ...]) -> dict[str, Any]:
    properties = below((), found)
    # Helm gives it to every chart that another one depends on.
    properties["global"] = {
        "type": "object",
        "description": "For charts that depend on this one. Nothing here is read.",
    }
    return {"$schema": "http://json-schema.org/draft-07/schema#", **_closed(properties)}


def below(parent: tuple[str, ...], found: tuple[Value, ...]) -> dict[str, Any]:
    """The schemas of the values right below `parent`."""
    return {value.path[-1]: schema_of(value, found) for value in found if value.path[:-1] == parent}


def schema_of(value: Value, found: tuple[Value, ...]) -> dict[str, Any]:
    said: dict[str, Any] = {"description": value.text.replace("`", "")}
    if isinstance(value.schema, str):
        return {**said, **shape(value.schema)}
    inferred = {"type": _TYPES[type(value.default)], **(value.schema or {})}
    if inferred["type"] == "object":
        return said | _closed(below(value.path, found))
    return said | inferred


def page(found: tuple[Value, ...]) -> str:
    parts = [
        "# Values of the chart",
        "<!-- Written by `make chart` from charts/edgerun/values.yaml. Edit that file, not this one. -->",
        wrapped(
            "`helm install edgerun charts/edgerun --values FILE` reads them from a file, `--set NAME=VALUE` takes one. "
            "A name that is not here is an error. The chart needs Kubernetes 1.30 or newer, and Helm 3 or 4."
        ),
    ]
    for value in found:
        if len(value.path) == 1:
            inner = [one for one in found if one.path[0] == value.path[0] and len(one.path) > 1]
            parts += [f"## `{value.name}`", *described(value, bool(inner)), "\n".join(bullet(one) for one in inner)]
    return "\n\n".join(part for part in parts if part) + "\n"


def described(value: Value, group: bool) -> Iterator[str]:
    if not group:
        yield wrapped(facts(value))
    yield wrapped(escaped(value.text))


def bullet(value: Value) -> str:
    about = "" if value.schema is None and isinstance(value.default, dict) else f" ({facts(value)})"
    indent = "  " * (len(value.path) - 2)
    return "\n".join(indent + line for line in item(f"`{value.name}`{about}: {escaped(value.text)}").splitlines())


def facts(value: Value) -> str:
    schema = value.schema if isinstance(value.schema, Mapping) else {}
    kind = {"object": "map", "array": "list"}.get(named := _TYPES[type(value.default)], named)
    return "; ".join([kind, *bounds(schema), f"default `{shown(value.default)}`"])


def shape(name: str) -> Schema:
    return edge_proxy_spec() if name == "edgeProxySpec" else SHAPES[name]


def edge_proxy_spec() -> Schema:
    definition = yaml.safe_load((ROOT / "crds" / "edgeproxies.yaml").read_text())
    return strict(definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"])


def _closed(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _list(*required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "array", "items": {**_closed(properties), **({"required": list(required)} if required else {})}}


_STRING: Schema = {"type": "string"}
_INTEGER: Schema = {"type": "integer"}
_FREE: Schema = {"type": "object"}  # only an API server looks deeper
_STRINGS: Schema = {"type": "object", "additionalProperties": _STRING}
_NAMES: Schema = {"type": "array", "items": _STRING}
_QUANTITIES: Schema = {"type": "object", "additionalProperties": {"type": ["string", "number"]}}
_EFFECT: Schema = {"enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"]}
_POLICY: Schema = {"enum": ["Honor", "Ignore"]}
SHAPES: Mapping[str, Schema] = {
    "strings": _STRINGS,
    "imagePullSecrets": _list("name", name={"type": "string", "minLength": 1}),
    "resources": _closed(
        {"requests": _QUANTITIES, "limits": _QUANTITIES, "claims": _list(name=_STRING, request=_STRING)}
    ),
    "env": _list("name", name=_STRING, value=_STRING, valueFrom=_FREE),
    "tolerations": _list(
        key=_STRING,
        operator={"enum": ["Equal", "Exists"]},
        value=_STRING,
        effect=_EFFECT,
        tolerationSeconds=_INTEGER,
    ),
    "affinity": _closed({"nodeAffinity": _FREE, "podAffinity": _FREE, "podAntiAffinity": _FREE}),
    "topologySpreadConstraints": _list(
        "maxSkew",
        "topologyKey",
        "whenUnsatisfiable",
        maxSkew=_INTEGER,
        topologyKey=_STRING,
        whenUnsatisfiable={"enum": ["DoNotSchedule", "ScheduleAnyway"]},
        labelSelector=_FREE,
        matchLabelKeys=_NAMES,
        minDomains=_INTEGER,
        nodeAffinityPolicy=_POLICY,
        nodeTaintsPolicy=_POLICY,
    ),
    "peers": _list(podSelector=_FREE, namespaceSelector=_FREE, ipBlock=_FREE),
}


if __name__ == "__main__":
    main()
