"""What measurements of cold starts share: who is woken together and how often, a start's parts, and its program.

Each kind of start is measured in turns with the same program started by hand, within one run. What starts is the
program of cold_app.py, which answers with its own moments; a start's parts are the spans between all moments that are
known of it. Trap: all moments are of one machine's clock.
"""

import http.client
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

SAMPLES = 30
AT_ONCE = (1, 10, 25)
MOST = max(AT_ONCE)
SCALING = {"minScale": 0, "maxScale": 1, "window": "6s"}
KINDS = {"without a guard": "Disabled", "guarded": "Enabled"}
BY_HAND = "by hand"
ALL = "all"
APP = Path(__file__).with_name("cold_app.py")
_POLL_S = 0.005  # of who asks by hand

Start = Mapping[str, float]  # milliseconds of each part in its order, and of all
Starter = Callable[[Sequence[str]], Iterable[Start]]  # of these, at once
Found = dict[tuple[int, str], list[Start]]  # by the number at once, and the kind


@dataclass(frozen=True, slots=True)
class Answer:
    """When the program's process began, listened and was asked, and when its answer had begun to come."""

    began: float
    listened: float
    asked: float
    answered: float


def command(python: str, app: str) -> list[str]:
    """How the program is started: by a shell, which notes the time at which the process began."""
    return ["bash", "-c", f"export LC_ALL=C; BEGAN=$EPOCHREALTIME exec {python} -ISE {app}"]


def names(kind: str) -> list[str]:
    """Of all of the kind that are put to sleep."""
    return [f"{kind.replace(' ', '-')}-{index:02}" for index in range(MOST)]


def groups(number: int) -> Iterator[slice]:
    """Who of a kind is woken together, until there are enough samples."""
    for taken in range(0, SAMPLES, number):
        first = taken % (MOST - MOST % number)
        yield slice(first, first + number)


def in_turns(by_hand: Starter, woken: Starter) -> Found:
    """Enough starts of each kind, and as many by hand."""
    found: Found = {}
    for number in AT_ONCE:
        for group in groups(number):
            turn = {kind: [*woken(names(kind)[group])] for kind in KINDS} | {BY_HAND: [*by_hand(names(BY_HAND)[group])]}
            for kind, starts in turn.items():
                found.setdefault((number, kind), []).extend(starts)
            took = (f"{kind} {median(one[ALL] for one in starts):.0f} ms" for kind, starts in turn.items())
            say(f"{number} at once, {len(found[number, BY_HAND])} of {SAMPLES}: {', '.join(took)}")
    return found


def say(text: str) -> None:
    """Something moves."""
    print(f"  {text}", file=sys.stderr, flush=True)


def together(calls: Sequence[Callable[[], Start]]) -> list[Start]:
    with ThreadPoolExecutor(len(calls)) as threads:
        return [future.result() for future in [threads.submit(call) for call in calls]]


def start(**moments: float) -> Start:
    """Of its moments in their order, in seconds: the first is when it began, each other has the name of the part that
    ends with it."""
    spans = {name: after - before for (_, before), (name, after) in pairwise(moments.items())}
    first, *_, last = moments.values()
    return {name: 1000 * span for name, span in {**spans, ALL: last - first}.items()}


def asked(address: tuple[str, int], host: str, within_s: float) -> Answer:
    """What the program answers, to a request that is sent as soon as somebody listens at the address."""
    connection = _connected(address, time.monotonic() + within_s, f"nobody listens for {host} within {within_s:g} s")
    connection.sock.settimeout(within_s)
    try:
        connection.request("GET", "/", headers={"Host": host})
        response = connection.getresponse()
        answered, body = time.time(), response.read()
    except TimeoutError as error:
        raise RuntimeError(f"{host}: no answer within {within_s:g} s") from error
    finally:
        connection.close()
    if response.status != http.client.OK:
        raise RuntimeError(f"{host} answered {response.status}: {body.decode(errors='replace')}")
    return Answer(**json.loads(body), answered=answered)


def _connected(address: tuple[str, int], deadline: float, otherwise: str) -> http.client.HTTPConnection:
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection(*address, timeout=1)
        try:
            connection.connect()
            return connection
        except OSError:
            connection.close()
            time.sleep(_POLL_S)
    raise RuntimeError(otherwise)


def rows(found: Found) -> list[dict[str, Any]]:
    """A row for each number at once and kind."""
    return [row(number, kind, found) for number in AT_ONCE for kind in (BY_HAND, *KINDS)]


def row(number: int, kind: str, found: Found) -> dict[str, Any]:
    starts = found[number, kind]
    spread = {part: ranks([one[part] for one in starts]) for part in starts[0]}
    ratio = spread[ALL]["p50_ms"] / median(one[ALL] for one in found[number, BY_HAND])
    return {"at_once": number, "kind": kind, "samples": len(starts), "ratio": ratio, **spread}


def ranks(values: Sequence[float]) -> dict[str, float]:
    ranked = sorted(values)
    return {"p50_ms": median(ranked), "p95_ms": ranked[round(0.95 * (len(ranked) - 1))]}
