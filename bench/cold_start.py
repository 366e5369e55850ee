"""How long the first request of an origin takes that sleeps, and where the time goes; beside the same program by hand.

A request is sent to origins that have no process: one, or many at once. By hand is a process that is started the same
way, and asked until it answers. What is begun by nobody's request is not measured: the origins have been up before, as
those of users have.
Trap: an origin falls asleep a window after its last request, and that of a whole fleet takes its time. So many are put
to sleep together, and woken one by one.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import starts
import yaml
from documents import document
from instance import Instance, free_port, serving
from starts import APP, KINDS, MOST, SAMPLES, SCALING, Start, asked, command, names, together

__all__ = ["SAMPLES", "measured", "missing"]
_ASLEEP_WITHIN_S = 180.0
_ANSWER_WITHIN_S = 120.0
_LOCAL = "127.0.0.1"
_PROGRAM = command(sys.executable, str(APP))


def missing() -> str:
    """Why nothing can be measured; "" when it can."""
    return "" if shutil.which("bash") else "bash is missing, which tells when a process begins"


def measured() -> list[dict[str, Any]]:
    """A row for each kind and number at once."""
    with serving(objects()) as instance:
        asleep(instance)
        return starts.rows(starts.in_turns(by_hand, partial(woken, instance)))


def objects() -> str:
    found = []
    for name, guard in ((name, guard) for kind, guard in KINDS.items() for name in names(kind)):
        spec = {"guard": guard, "scaling": SCALING, "template": {"spec": {"containers": [{"command": _PROGRAM}]}}}
        rules = [{"name": "all", "origins": [{"service": {"name": name}}]}]
        found += [document("OriginService", name, spec)]
        found += [document("EdgeRoute", name, {"hostnames": [f"{name}.localhost"], "rules": rules})]
    return yaml.safe_dump_all(found)


def woken(instance: Instance, names: Sequence[str]) -> list[Start]:
    """The first requests of these, at once; and everybody asleep again if somebody is to be woken twice."""
    asleep(instance, names)
    return together([partial(started, instance.port, f"{name}.localhost") for name in names])


def by_hand(names: Sequence[str]) -> list[Start]:
    """As many processes as there are names, at once."""
    return together([by_itself] * len(names))


def by_itself() -> Start:
    port, began = free_port(), time.time()
    with process(port):
        return started(port, "localhost", began)


@contextmanager
def process(port: int) -> Iterator[None]:
    environment = {"PATH": os.environ["PATH"], "PORT": str(port)}
    running = subprocess.Popen(_PROGRAM, env=environment, stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        running.kill()
        running.wait()


def started(port: int, host: str, began: float | None = None) -> Start:
    """The start of what answers for the host. It began with the request, unless told otherwise."""
    began = began or time.time()
    told = asked((_LOCAL, port), host, _ANSWER_WITHIN_S)
    if told.began < began:
        raise RuntimeError(f"{host} was not asleep: its process began {began - told.began:.1f} s before")
    return starts.start(began=began, start=told.began, listen=told.listened, forward=told.asked, answer=told.answered)


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
    if len(origins) < MOST * len(KINDS):
        return [name for kind in KINDS for name in names(kind)]
    at_rest = {"desired": 0, "ready": 0}
    return [one["metadata"]["name"] for one in origins if one["status"].get("replicas") != at_rest]
