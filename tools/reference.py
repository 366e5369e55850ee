"""Writes docs/reference/*.md from crds/*.yaml: every field with its type, default, bounds, description and rules.

Usage: reference.py [DIRECTORY], by default docs/reference. Owns the layout; every word about a field is the CRD's.

Fields that stand in several places of the CRD, as a YAML alias, are written once; elsewhere a link leads to them. So
does one from the template of a revision to the page of its OriginService, for it is a copy (tools/crds.py).

Trap: descriptions are plain text. What Markdown or the site that shows it would take for markup has to be escaped.
"""

import re
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[1]
WIDTH = 110
_TEMPLATE = "originservice.md#spec.template"  # where the fields of every template are written down
_CODE = re.compile(r'(`[^`]+`|\$\(\w+\)|\$\$|"[^" ]*[*$%][^" ]*")')
_MARKUP = re.compile(r"([\\`*_<>$~|\[\]])")

Schema = Mapping[str, Any]


class Field(NamedTuple):
    """One field. `path` is written as users do: `spec.rules[].name`, `spec.labels{}` for the values of a map."""

    path: str
    schema: Schema
    required: bool
    same_as: str = ""  # where the fields below it are written down, if not here

    @property
    def depth(self) -> int:
        return self.path.count(".")


def main(directory: str = "docs/reference") -> None:
    folder = ROOT / directory
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages():
        (folder / name).write_text(text)


def pages() -> Iterator[tuple[str, str]]:
    """File name and text of each page."""
    for path in sorted((ROOT / "crds").glob("*.yaml")):
        definition = yaml.safe_load(path.read_text())["spec"]
        yield f"{definition['names']['singular']}.md", page(definition, path.name)


def page(definition: Schema, source: str) -> str:
    names, version = definition["names"], definition["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]
    parts = [
        f"# {names['kind']}",
        f"<!-- Written by `make reference` from crds/{source}. Edit that file, not this one. -->",
        wrapped(escaped(schema["description"])),
        head(definition, version),
        *rules(schema),
    ]
    for section in ("spec", "status"):
        written = copied(names["kind"], schema)
        root, *found = fields(section, schema["properties"][section], section in schema.get("required", ()), written)
        parts += [f"## `{section}`", described(root), outline(found), *(titled(one) for one in found)]
    return "\n\n".join(parts) + "\n"


def copied(kind: str, schema: Schema) -> dict[int, str]:
    """The groups of fields that stand on another page, and where."""
    if kind != "OriginRevision":
        return {}
    return {id(schema["properties"]["spec"]["properties"]["template"]["properties"]): _TEMPLATE}


def head(definition: Schema, version: Schema) -> str:
    names = definition["names"]
    rows = (
        ("apiVersion", f"`{definition['group']}/{version['name']}`"),
        ("kind", f"`{names['kind']}`"),
        ("scope", definition["scope"]),
        ("short names", ", ".join(f"`{name}`" for name in names["shortNames"])),
        ("categories", ", ".join(f"`{name}`" for name in names["categories"])),
    )
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def fields(path: str, schema: Schema, required: bool, written: dict[int, str]) -> Iterator[Field]:
    """The field and all that is below it, in the order of the CRD. `written` is where groups of fields stand."""
    groups = list(inside(path, schema))
    same_as = next((written[id(group)] for _, group in groups if id(group) in written), "")
    yield Field(path, schema, required, same_as)
    for where, group in groups:
        if written.setdefault(id(group), path) == path:
            for name, child in group.items():
                needed = schema if where == path else schema.get("items", schema.get("additionalProperties", {}))
                yield from fields(f"{where}.{name}", child, name in needed.get("required", ()), written)


def inside(path: str, schema: Schema) -> Iterator[tuple[str, Schema]]:
    """The group of fields of an object, of a list's items or of a map's values, and how its path begins."""
    for suffix, inner in (("", schema), ("[]", schema.get("items")), ("{}", schema.get("additionalProperties"))):
        if inner and "properties" in inner:
            yield path + suffix, inner["properties"]


def outline(found: list[Field]) -> str:
    """The fields as a tree of links."""
    return "\n".join(
        f"{'  ' * (field.depth - 1)}- [`{field.path.rpartition('.')[2]}`](#{anchor(field.path)})" for field in found
    )


def anchor(path: str) -> str:
    """What a site makes of the heading of a field."""
    return re.sub(r"[^a-z0-9-]", "", path.lower())


def titled(field: Field) -> str:
    return f"### `{field.path}`\n\n{described(field)}"


def described(field: Field) -> str:
    schema = field.schema
    inner = schema.get("items") or schema.get("additionalProperties") or {}
    facts = [typed(schema), *bounds(schema)]
    facts += ["**required**"] if field.required else []
    facts += [f"default `{shown(schema['default'])}`"] if "default" in schema else []
    parts = [wrapped("; ".join(facts)), wrapped(escaped(schema["description"]))]
    if inner:
        what, facts = "item" if "items" in schema else "value", [typed(inner), *bounds(inner)]
        parts.append(wrapped(f"Each {what} ({', '.join(facts)}): {escaped(inner['description'])}"))
    if field.same_as:
        page, _, path = field.same_as.rpartition("#")
        parts.append(f"Its fields are those of [`{path}`]({page}#{anchor(path)}).")
    return "\n\n".join([*parts, *rules(schema, inner)])


def typed(schema: Schema) -> str:
    if schema.get("x-kubernetes-int-or-string"):
        return "integer or string"
    kind = str(schema["type"])
    if kind == "array":
        inner = schema["items"]["type"]
        keys = ", ".join(f"`{key}`" for key in schema.get("x-kubernetes-list-map-keys", ()))
        unique = f", unique by {keys}" if keys else ", no item twice" if _is_set(schema) else ""
        return f"list of {inner}s{unique}"
    if "additionalProperties" in schema:
        return f"map of {schema['additionalProperties'].get('type', 'integer or string')}s"
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return f"{kind}, passed on as it is"
    return f"{kind}, {schema['format']}" if "format" in schema else kind


def _is_set(schema: Schema) -> bool:
    return schema.get("x-kubernetes-list-type") == "set"


def bounds(schema: Schema) -> Iterator[str]:
    if "enum" in schema:
        yield "one of " + ", ".join(f"`{shown(value)}`" for value in schema["enum"])
    for low, high, unit in (
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " items"),
        ("minProperties", "maxProperties", " entries"),
        ("minimum", "maximum", ""),
    ):
        if low in schema and high in schema:
            yield f"{schema[low]} to {schema[high]}{unit}"
        elif high in schema:
            yield f"at most {schema[high]}{unit}"
        elif low in schema:
            yield f"at least {schema[low]}{unit}"
    if "pattern" in schema:
        fence = "``" if "`" in schema["pattern"] else "`"
        yield f"pattern {fence}{schema['pattern']}{fence}"


def shown(value: Any) -> str:
    """A default or an option, as one would write it in YAML."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000).strip()
    return text.removesuffix("...").strip()


def rules(*schemas: Schema) -> list[str]:
    """What must hold beyond the bounds, in the words that an author reads when it does not."""
    found = [rule for schema in schemas for rule in schema.get("x-kubernetes-validations", ())]
    return ["Refused with:\n\n" + "\n".join(item(refusal(rule)) for rule in found)] if found else []


def refusal(rule: Schema) -> str:
    where = rule.get("fieldPath", "").removeprefix(".")
    return f"`{where}`: {escaped(rule['message'])}" if where else escaped(rule["message"])


def item(text: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent="- ", subsequent_indent="  ", **_WRAP)


def wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, **_WRAP)


_WRAP: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}


def escaped(text: str) -> str:
    """Plain text as Markdown: code stays code, and nothing else is markup."""
    if text.count("`") % 2:
        return _MARKUP.sub(r"\\\1", text)
    pieces = _CODE.split(text)
    return "".join(code(piece) if number % 2 else _MARKUP.sub(r"\\\1", piece) for number, piece in enumerate(pieces))


def code(piece: str) -> str:
    bare = piece.strip("`") if piece.startswith("`") else piece.strip('"')
    return f"`{bare}`"


if __name__ == "__main__":
    main(*sys.argv[1:])
