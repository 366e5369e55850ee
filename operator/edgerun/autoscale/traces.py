"""How traces are written for `edgerun autoscale replay`, and what is wrong with them.

One case or a list of cases, each with `spec` and `ticks`. `got` is what a replay adds; `want`, what somebody expects,
is handed on as it is. Cases and ticks are counted from 0.
Trap: for Python a bool is a number. Here it is none.
"""

import json
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..api.structure import near
from .decide import Decision, Spec, Tick
from .floats import MAX_INT32
from .replay import NS_PER_S, Case

CASE_FIELDS = ("spec", "ticks", "want", "got")
_SHOWN = 60  # characters of a value in a message


@dataclass(frozen=True, slots=True)
class Field:
    """`allowed` is for the message. What is `required` has no default."""

    allowed: str
    fits: Callable[[Any], bool]
    default: Any = None
    required: bool = False


def _number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= sys.float_info.max


def _positive(value: Any) -> bool:
    return _number(value) and value > 0


def _not_negative(value: Any) -> bool:
    return _number(value) and value >= 0


def _count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MAX_INT32


def _average(value: Any) -> bool:
    return value is None or _number(value)


_ABOVE_0, _A_COUNT = "a number above 0", f"a whole number from 0 to {MAX_INT32}"
_SECONDS, _DATA = "a number of seconds, 0 or more", "a number, or null for no data yet"
SPEC = {
    "target": Field(_ABOVE_0, _positive, required=True),
    "total": Field(_ABOVE_0, _positive, required=True),
    "targetBurstCapacity": Field("-1, or a number from 0 on", lambda value: _not_negative(value) or value == -1, 211),
    "panicThreshold": Field(_ABOVE_0, _positive, 2),
    "stableWindow": Field(_SECONDS, _not_negative, 60),
    "scaleDownDelay": Field(_SECONDS, _not_negative, 0),
    "maxScaleUpRate": Field(_ABOVE_0, _positive, 1000),
    "maxScaleDownRate": Field(_ABOVE_0, _positive, 2),
    "activationScale": Field(_A_COUNT, _count, 0),
    "reachable": Field("true or false", lambda value: type(value) is bool, True),
    "initialReady": Field(_A_COUNT, _count, 0),
}
TICK = {
    "t": Field(_SECONDS, _not_negative, required=True),
    "ready": Field(_A_COUNT, _count, required=True),
    "stable": Field(_DATA, _average, required=True),
    "panic": Field(_DATA, _average, required=True),
}


def parsed(text: bytes) -> Any:
    """The document. Raises ValueError that says where it is no JSON."""
    try:
        return json.loads(text, parse_constant=_refused)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def problems(document: Any) -> Iterator[str]:
    """All that is wrong with a document: which case, tick and field, what was given, what is allowed."""
    if not isinstance(document, dict | list):
        yield f"given {_shown(document)}, allowed is one case or a list of cases"
        return
    for number, case in enumerate(_listed(document)):
        yield from (f"case {number}{problem}" for problem in _wrong_with_case(case))


def cases(document: Any) -> Iterator[tuple[Mapping[str, Any], Case]]:
    """Each case of a document without problems: as it was given, and as it is meant."""
    for given in _listed(document):
        spec = {name: field.default for name, field in SPEC.items()} | given["spec"]
        yield given, Case(spec=_spec(spec), initial_ready=spec["initialReady"], ticks=tuple(map(_tick, given["ticks"])))


def written(decision: Decision) -> dict[str, Any]:
    """One entry of `got`."""
    return {
        "desired": decision.desired,
        "excessBurstCapacity": decision.excess_burst_capacity,
        "valid": decision.valid,
        "mode": decision.mode.value,
    }


def _listed(document: Any) -> list[Any]:
    return document if isinstance(document, list) else [document]


def _spec(given: Mapping[str, Any]) -> Spec:
    return Spec(
        target=float(given["target"]),
        total=float(given["total"]),
        target_burst_capacity=float(given["targetBurstCapacity"]),
        panic_threshold=float(given["panicThreshold"]),
        stable_window_ns=_ns(given["stableWindow"]),
        scale_down_delay_ns=_ns(given["scaleDownDelay"]),
        max_scale_up_rate=float(given["maxScaleUpRate"]),
        max_scale_down_rate=float(given["maxScaleDownRate"]),
        activation_scale=given["activationScale"],
        reachable=given["reachable"],
    )


def _tick(given: Mapping[str, Any]) -> Tick:
    return Tick(
        at_ns=_ns(given["t"]),
        ready=given["ready"],
        stable=_float(given["stable"]),
        panic=_float(given["panic"]),
    )


def _float(given: float | None) -> float | None:
    return None if given is None else float(given)


def _ns(seconds: float) -> int:
    """To the nearest: 1.1 is 1 100 000 000, though the float is not quite 1.1."""
    return seconds * NS_PER_S if isinstance(seconds, int) else round(seconds * NS_PER_S)


def _wrong_with_case(case: Any) -> Iterator[str]:
    if not isinstance(case, dict):
        yield f": given {_shown(case)}, allowed is an object with spec and ticks"
        return
    yield from _unknown(case, CASE_FIELDS)
    yield from (f", spec{problem}" for problem in _wrong_with_fields(case.get("spec", _NOTHING), SPEC))
    ticks = case.get("ticks", _NOTHING)
    if not isinstance(ticks, list):
        yield f", field ticks: {_given(ticks)}, allowed is a list"
        return
    for number, tick in enumerate(ticks):
        yield from (f", tick {number}{problem}" for problem in _wrong_with_fields(tick, TICK))


def _wrong_with_fields(given: Any, fields: Mapping[str, Field]) -> Iterator[str]:
    if not isinstance(given, dict):
        yield f": {_given(given)}, allowed is an object with {', '.join(fields)}"
        return
    for name, field in fields.items():
        value = given.get(name, _NOTHING)
        missing = value is _NOTHING
        if field.required if missing else not field.fits(value):
            yield f", field {name}: {_given(value)}, allowed is {field.allowed}"
    yield from _unknown(given, fields)


_NOTHING = object()


def _given(value: Any) -> str:
    return "it is missing" if value is _NOTHING else f"given {_shown(value)}"


def _shown(value: Any) -> str:
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _unknown(given: Mapping[str, Any], known: Collection[str]) -> Iterator[str]:
    for name in given:
        if name not in known:
            meant = near(name, known)
            hint = f"did you mean {meant}?" if meant else f"allowed are {', '.join(known)}"
            yield f", field {name}: there is no such field; {hint}"


def _refused(word: str) -> Any:
    raise ValueError(f"{word} is no number of JSON")
