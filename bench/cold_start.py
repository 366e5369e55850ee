"""How long the first request of an origin takes that sleeps, and where the time goes; beside the same program by hand.

A request is sent to origins that have no process: one, or many at once. By hand is a process that is started the same
way, and asked until it answers. In turns within one run. What is begun by nobody's request is not measured: the
origins have been up before, as those of users have.
Trap: an origin falls asleep a window after its last request, and that of a whole fleet takes its time. So many are put
to sleep together, and woken one by one.
"""

import http.client
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import yaml
from documents import document
from instance import Instance, free_port, serving

SAMPLES = 30
AT_ONCE = (1, 10, 25)
MOST = max(AT_ONCE)
SCALING = {"minScale": 0, "maxScale": 1, "window": "6s"}
KINDS = {"without a guard": "Disabled", "guarded": "Enabled"}
BY_HAND = "by hand"
PARTS = ("start", "listen", "forward", "answer", "all")
_ASLEEP_WITHIN_S = 180.0
_UP_WITHIN_S = 120.0
_ANSWER_WITHIN_S = 60.0
_POLL_S = 0.005  # of who asks by hand
PROGRAM = f"export LC_ALL=C; BEGAN=$EPOCHREALTIME exec {sys.executable} -ISE {Path(__file__).with_name('cold_app.py')}"


@dataclass(frozen=True, slots=True)
class Start:
    """Milliseconds: until the process began, from then until it listened, from then until it was asked, from then until
    the answer began; and all of it."""

    start: float
    listen: float
    forward: float
    answer: float
    all: float


def missing() -> str:
    """Why nothing can be measured; "" when it can."""
    return "" if shutil.which("bash") else "bash is missing, which tells when a process begins"


def measured() -> list[dict[str, Any]]:
    """A row for each kind and number at once."""
    found: dict[tuple[int, str], list[Start]] = {}
    for kind, guard in KINDS.items():
        with serving(objects(guard)) as instance:
            asleep(instance)
            for number in AT_ONCE:
                for names in groups(number):
                    found.setdefault((number, BY_HAND), []).extend(together([by_hand] * number))
                    found.setdefault((number, kind), []).extend(woken(instance, names))
    return [row(number, kind, found) for number in AT_ONCE for kind in (BY_HAND, *KINDS)]


def groups(number: int) -> Iterator[Sequence[str]]:
    """Who is woken together, until there are enough samples."""
    names = [name(index) for index in range(MOST)]
    for taken in range(0, SAMPLES, number):
        first = taken % (MOST - MOST % number)
        yield names[first : first + number]


def row(number: int, kind: str, found: dict[tuple[int, str], list[Start]]) -> dict[str, Any]:
    starts = found[number, kind]
    by_hand = median(one.all for one in found[number, BY_HAND])
    spread = {part: ranks([getattr(one, part) for one in starts]) for part in PARTS}
    ratio = spread["all"]["p50_ms"] / by_hand
    return {"at_once": number, "kind": kind, "samples": len(starts), "ratio": ratio, **spread}


def ranks(values: Sequence[float]) -> dict[str, float]:
    ranked = sorted(values)
    return {"p50_ms": median(ranked), "p95_ms": ranked[round(0.95 * (len(ranked) - 1))]}


def objects(guard: str) -> str:
    found = []
    for index in range(MOST):
        container = {"command": ["bash", "-c", PROGRAM]}
        spec = {"guard": guard, "scaling": SCALING, "template": {"spec": {"containers": [container]}}}
        rules = [{"name": "all", "origins": [{"service": {"name": name(index)}}]}]
        found += [document("OriginService", name(index), spec)]
        found += [document("EdgeRoute", name(index), {"hostnames": [f"{name(index)}.localhost"], "rules": rules})]
    return yaml.safe_dump_all(found)


def name(index: int) -> str:
    return f"cold-{index:02}"


def woken(instance: Instance, names: Sequence[str]) -> list[Start]:
    """The first requests of these, at once; and everybody asleep again if somebody is to be woken twice."""
    asleep(instance, names)

    def wake(name: str) -> Start:
        return asked(instance.port, f"{name}.localhost", time.time())

    return together([partial(wake, name) for name in names])


def together(calls: Sequence[Callable[[], Start]]) -> list[Start]:
    with ThreadPoolExecutor(len(calls)) as threads:
        return [future.result() for future in [threads.submit(call) for call in calls]]


def by_hand() -> Start:
    port, began = free_port(), time.time()
    with process(port):
        while time.time() < began + _UP_WITHIN_S:
            try:
                return asked(port, "localhost", began)
            except ConnectionRefusedError:
                time.sleep(_POLL_S)
    raise RuntimeError("the program does not listen when it is started by hand")


@contextmanager
def process(port: int) -> Iterator[None]:
    environment = {"PATH": os.environ["PATH"], "PORT": str(port)}
    running = subprocess.Popen(["bash", "-c", PROGRAM], env=environment, stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        running.kill()
        running.wait()


def asked(port: int, host: str, began: float) -> Start:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWER_WITHIN_S)
    connection.request("GET", "/", headers={"Host": host})
    response = connection.getresponse()
    answered = time.time()
    body = response.read()
    connection.close()
    if response.status != http.client.OK:
        raise RuntimeError(f"{host} answered {response.status}: {body.decode(errors='replace')}")
    seen = json.loads(body)
    moments = (began, seen["began"], seen["listened"], seen["asked"], answered)
    if seen["began"] < began:
        raise RuntimeError(f"{host} was not asleep: its process began {began - seen['began']:.1f} s before")
    spans = (*pairwise(moments), (began, answered))
    return Start(*(1000 * (after - before) for before, after in spans))


def asleep(instance: Instance, names: Sequence[str] = ()) -> None:
    """Wait until these have no replica, or all."""
    deadline = time.monotonic() + _ASLEEP_WITHIN_S
    while time.monotonic() < deadline:
        left = [one for one in awake(instance) if not names or one in names]
        if not left:
            return
        time.sleep(0.5)
    raise RuntimeError(f"these do not fall asleep: {', '.join(left)}; edgerun wrote:\n{instance.log()[-4000:]}")


def awake(instance: Instance) -> list[str]:
    """Who is, or is not known to be otherwise."""
    origins = [one for one in instance.objects() if one["kind"] == "OriginService"]
    if len(origins) < MOST:
        return [name(index) for index in range(MOST)]
    at_rest = {"desired": 0, "ready": 0}
    return [one["metadata"]["name"] for one in origins if one["status"].get("replicas") != at_rest]
