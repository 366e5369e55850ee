"""What another version of Edgerun may have written is read but for what cannot be."""

import copy
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun.api.originservice import LiveTraffic, OriginServiceStatus, Rollout
from edgerun.api.problems import Path, field_path
from edgerun.api.reading import partly, strings

WRITTEN: dict[str, Any] = {
    "observedGeneration": 3,
    "serving": {"generation": 2, "spec": {"template": {}}},
    "url": "http://cart",
    "replicas": {"desired": 2, "ready": 1},
    "references": [{"kind": "Secret", "name": "db", "version": "7"}],
    "latestCreatedRevisionName": "cart-00003",
    "latestReadyRevisionName": "cart-00002",
    "traffic": [
        {"revisionName": "cart-00001", "percent": 60},
        {"revisionName": "cart-00002", "percent": 40, "tag": "new", "url": "http://new"},
    ],
    "revisionNumber": 3,
    "appliedTraffic": [{"latestRevision": True, "percent": 100}],
    "rollout": {
        "goal": "cart-00002",
        "shares": [{"revisionName": "cart-00001", "percent": 60}, {"revisionName": "cart-00002", "percent": 40}],
        "begun": "2026-01-01T12:00:00Z",
        "nextStep": "2026-01-01T12:01:00Z",
        "stepSeconds": 15.0,
        "stepPercent": 12,
        "previous": "cart-00001",
        "settled": "2026-01-01T12:02:00Z",
        "rejected": [{"revisionName": "cart-00000", "message": "no", "at": "2026-01-01T12:00:00Z"}],
    },
    "conditions": [{"type": "Ready", "status": "True", "reason": "Ready"}],
}


def paths(raw: Any, within: Path = ()) -> Iterator[Path]:
    """Of all that a type is known of."""
    steps = raw.items() if isinstance(raw, dict) else enumerate(raw) if isinstance(raw, list) else ()
    for step, value in steps:
        yield (*within, step)
        if (*within, step) != ("serving", "spec"):
            yield from paths(value, (*within, step))


def damaged(path: Path, value: Any) -> dict[str, Any]:
    raw = copy.deepcopy(WRITTEN)
    around: Any = raw
    for step in path[:-1]:
        around = around[step]
    around[path[-1]] = value
    return raw


def document(status: OriginServiceStatus) -> Any:
    return msgspec.to_builtins(status)


def agree(read: Any, written: Any, path: Path) -> None:
    """But for what is on the way to `path`: a shape goes that cannot be without it."""
    assert {name: read.get(name) for name in written if name != path[0]} == {
        name: value for name, value in written.items() if name != path[0]
    }
    found, step = read.get(path[0]), written[path[0]]
    if len(path) > 1 and isinstance(step, dict) and found is not None:
        agree(found, step, path[1:])
    elif len(path) > 1 and isinstance(step, list):
        others = [one for index, one in enumerate(step) if index != path[1]]
        assert [one for one in found or [] if one in others] == others


@given(path=st.sampled_from([*paths(WRITTEN)]))
def test_a_field_that_cannot_be_read_costs_no_other_one(path: Path) -> None:
    whole = document(msgspec.convert(WRITTEN, OriginServiceStatus))
    status, lost = partly(damaged(path, object()), OriginServiceStatus)
    (one,) = lost
    assert one.path == path[: len(one.path)]
    agree(document(status), whole, path)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(path=st.sampled_from([*paths(WRITTEN)]), value=JUNK, other=st.sampled_from([*WRITTEN]), more=JUNK)
def test_whatever_is_written_something_is_read(path: Path, value: Any, other: str, more: Any) -> None:
    partly(damaged(path, value) | {other: more}, OriginServiceStatus)
    assert partly(value, Rollout).value is not None


def test_of_a_list_those_are_lost_that_cannot_be_read_and_named_as_they_were_written() -> None:
    entries = [{"revisionName": 1}, {"revisionName": "a", "percent": "1"}, "b", {"revisionName": "c", "percent": 2}]
    status, lost = partly({"traffic": entries}, OriginServiceStatus)
    assert status.traffic == (LiveTraffic(revision_name="a"), LiveTraffic(revision_name="c", percent=2))
    assert [(field_path(one.path), one.why) for one in lost] == [
        ("traffic[0]", "Expected `str`, got `int`"),
        ("traffic[1].percent", "Expected `int | null`, got `str`"),
        ("traffic[2]", "Expected `object`, got `str`"),
    ]


def test_what_was_written_is_left_as_it_is() -> None:
    raw = {"url": 7, "traffic": [7]}
    partly(raw, OriginServiceStatus)
    assert raw == {"url": 7, "traffic": [7]}


def test_what_may_not_be_lost_is_an_error() -> None:
    with pytest.raises(msgspec.ValidationError, match="rollout"):
        partly({"url": 7, "rollout": 7}, OriginServiceStatus, lambda path: path == ("url",))


def test_strings_are_found_wherever_they_stand() -> None:
    assert [*strings({"a": ["b", {"c": 1, "d": None}], "e": "f"})] == ["a", "b", "c", "d", "e", "f"]
