"""Hypothesis strategies for what a CRD's schema takes: small values, the fields in all combinations."""

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

MAX_SIZE = 2  # of lists and maps: what matters is what is in them
_TEXT = st.sampled_from(["/", "/api", "a"]) | st.text(st.characters(codec="utf-8"), max_size=8)
_KEYS = st.from_regex("[a-zA-Z][-a-zA-Z0-9]{0,8}", fullmatch=True)
_LEAVES = st.none() | st.booleans() | st.integers(-1, 70_000) | st.floats(0, 1) | _TEXT
_ANYTHING = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=MAX_SIZE) | st.dictionaries(_KEYS, inner, max_size=MAX_SIZE)
)


def values(schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    """Values of a schema as `edgerun.api.schema.strict` derives it."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema["type"]:
        case "string":
            return _strings(schema)
        case "boolean":
            return st.booleans()
        case "integer":
            return st.integers(schema.get("minimum"), schema.get("maximum"))
        case "number":
            return st.floats(schema.get("minimum"), schema.get("maximum"), allow_nan=False, allow_infinity=False)
        case "array":
            size = min(schema["maxItems"], schema.get("minItems", 0) + MAX_SIZE)
            return st.lists(values(schema["items"]), min_size=schema.get("minItems", 0), max_size=size)
        case "object":
            return _objects(schema)
        case several:
            return st.one_of(*(values({**schema, "type": kind}) for kind in several))


def _strings(schema: Mapping[str, Any]) -> st.SearchStrategy[str]:
    if "pattern" in schema:
        drawn = st.from_regex(schema["pattern"].removeprefix("^").removesuffix("$"), fullmatch=True)
    else:
        drawn = _TEXT
    return drawn.filter(lambda text: schema.get("minLength", 0) <= len(text) <= schema["maxLength"])


def _objects(schema: Mapping[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    if "properties" not in schema:  # without a word on what is in it: passed on
        inner = values(schema["additionalProperties"]) if "additionalProperties" in schema else _ANYTHING
        return st.dictionaries(_KEYS, inner, max_size=MAX_SIZE)
    fields = {name: values(child) for name, child in schema["properties"].items()}
    required = {name: fields.pop(name) for name in schema.get("required", ())}
    return st.fixed_dictionaries(required, optional=fields)
