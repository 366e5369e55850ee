"""A tour: requests that are really sent through the edge, and what became of each.

The demo is one; a team's smoke test of its own routes is another. What answered is not guessed from the response:
it is read from the edge's access log, by the request id that the edge gives every request.
"""

import asyncio
import http.client
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import yaml

from ..errors import SettingsError
from ..translate.names import called
from .tables import coloured, table

LOG_WITHIN_S = 20.0  # Envoy flushes its access log to a pipe every second
AccessLog = Callable[[str], Mapping[str, Any] | None]


class Expectation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What must come back. What is not given is not looked at."""

    status: int = 200
    rule: str = ""
    origin: str = ""
    location: str = ""
    body: str = ""


class Stop(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One request, `times` over."""

    host: str
    path: str = "/"
    method: str = "GET"
    headers: dict[str, str] = {}
    body: str = ""
    times: int = 1
    note: str = ""
    expect: Expectation = Expectation()


class Tour(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    requests: tuple[Stop, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one request; `request_id` finds it in the access log."""

    status: int
    body: str
    location: str
    request_id: str
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Visit:
    """One request, what came back, who answered, and what was wrong with it."""

    stop: Stop
    answer: Answer
    rule: str
    origin: str
    wrong: tuple[str, ...]


def read_tour(path: Path) -> Tour:
    """Raises SettingsError when the file cannot be read as a tour."""
    try:
        tour = msgspec.convert(yaml.safe_load(path.read_text()), Tour)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError, msgspec.ValidationError) as error:
        raise SettingsError(f"{path}: not a tour: {error}") from error
    if not tour.requests:
        raise SettingsError(
            f"{path}: not a tour: it has no requests; give one at least, such as {{host: shop.localhost}}"
        )
    return tour


async def take(tour: Tour, address: tuple[str, int], log: AccessLog) -> tuple[Visit, ...]:
    """Send all requests, one after the other, then look up who answered them."""
    stops = [stop for stop in tour.requests for _ in range(stop.times)]
    answers = [await asyncio.to_thread(_answer, stop, address) for stop in stops]
    return tuple([await _visit(stop, answer, log) for stop, answer in zip(stops, answers, strict=True)])


def shown(visits: Sequence[Visit]) -> str:
    """The visits as a table, equal ones counted together, and below it what went wrong."""
    groups: dict[tuple[str, ...], list[Visit]] = {}
    for visit in visits:
        groups.setdefault(_cells(visit), []).append(visit)
    header = ("METHOD", "HOST", "PATH", "RULE", "ORIGIN", "STATUS", "TIMES", "MS", "")
    rows = [(*cells, str(len(same)), _median_ms(same), same[0].stop.note) for cells, same in groups.items()]
    wrong = [f"! {visit.stop.host}{visit.stop.path}: {said}" for visit in visits for said in visit.wrong]
    return "\n".join([table(header, rows), *(coloured(line, "red") for line in wrong)])


def _cells(visit: Visit) -> tuple[str, ...]:
    stop = visit.stop
    return stop.method, stop.host, stop.path, visit.rule or "-", visit.origin or "-", str(visit.answer.status)


def _median_ms(visits: Sequence[Visit]) -> str:
    return f"{median(visit.answer.milliseconds for visit in visits):.1f}"


async def _visit(stop: Stop, answer: Answer | str, log: AccessLog) -> Visit:
    if isinstance(answer, str):
        return Visit(stop, Answer(0, "", "", "", 0.0), "", "", (answer,))
    entry = await _logged(answer.request_id, log)
    rule, origin = entry.get("rule") or "", origin_name(entry.get("cluster") or "")
    return Visit(stop, answer, rule, origin, _wrong(stop.expect, answer, rule, origin))


def origin_name(cluster: str) -> str:
    """What a person calls the origin behind a cluster: `shop/cart`, or the url. Who calls it is left out."""
    found = called(cluster)
    return f"{found.service.namespace}/{found.service.name}" if found else cluster.partition("/")[2].partition("@")[0]


def _answer(stop: Stop, address: tuple[str, int]) -> Answer | str:
    try:
        return _send(stop, address)
    except (OSError, http.client.HTTPException) as error:
        return f"no answer: {error or type(error).__name__}"


def _send(stop: Stop, address: tuple[str, int]) -> Answer:
    connection = http.client.HTTPConnection(*address, timeout=30)
    started = time.perf_counter()
    try:
        connection.request(stop.method, stop.path, body=stop.body or None, headers={"Host": stop.host} | stop.headers)
        response = connection.getresponse()
        body = response.read().decode(errors="replace")
        took = (time.perf_counter() - started) * 1000
        header = response.headers.get
        return Answer(response.status, body, header("location", ""), header("x-request-id", ""), took)
    finally:
        connection.close()


async def _logged(request_id: str, log: AccessLog) -> Mapping[str, Any]:
    deadline = time.monotonic() + LOG_WITHIN_S
    while time.monotonic() < deadline:
        if entry := log(request_id):
            return entry
        await asyncio.sleep(0.02)
    return {}


def _wrong(expected: Expectation, answer: Answer, rule: str, origin: str) -> tuple[str, ...]:
    found = {"status": answer.status, "rule": rule, "origin": origin, "location": answer.location}
    wanted = {name: getattr(expected, name) for name in found}
    said = [
        f"{name} is {found[name]!r}, want {want!r}" for name, want in wanted.items() if want and want != found[name]
    ]
    if expected.body not in answer.body:
        said.append(f"the body lacks {expected.body!r}: {answer.body[:80]!r}")
    return tuple(said)
