"""How long the first request of an origin takes in a cluster that has no pod, and where the time goes; beside the same
container in a pod that somebody makes by hand. Run with `missing` or `measured`; the second prints JSON.

The moments are those at which watches tell of them: that a Deployment was given a replica, and that the container of
its pod runs. By hand is a pod that is created, and asked at its address until it answers. In turns within one run.
Trap: an origin falls asleep a window after its last request. So many are put to sleep together, and woken one by one.
"""

import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from tools import builds

from support.cluster import TOOLS, Address, told, tool
from support.namespaces import namespace
from support.pods import PORT, origin, origin_program, pod
from support.poll import eventually_sync
from support.release import installed
from support.shop import Shop, edge_route, origin_service

SAMPLES = 30
AT_ONCE = (1, 10, 25)
MOST = max(AT_ONCE)
SCALING = {"minScale": 0, "maxScale": 1, "window": "6s"}
KINDS = {"without a guard": "Disabled", "guarded": "Enabled"}
BY_HAND = "by hand"
PARTS = ("write", "run", "answer", "all")
IMAGE = "edgerun.dev/edgerun:dev"
_WITHIN_S = 300.0
_POLL_S = 0.005
_SERVICE = "edgerun.dev/origin-service"


@dataclass(frozen=True, slots=True)
class Start:
    """Milliseconds: until a replica was wanted, from then until its container ran, from then until the answer began;
    and all of it. By hand the first is nothing."""

    write: float
    run: float
    answer: float
    all: float


@dataclass(slots=True)
class Moments:
    """When watches told that an origin, or a pod made by hand, was to have a replica, and that its container ran."""

    wanted: dict[str, float] = field(default_factory=dict)
    ran: dict[str, float] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)

    def forget(self, name: str) -> None:
        for known in (self.wanted, self.ran, self.addresses):
            known.pop(name, None)

    def see(self, told: Mapping[str, Any]) -> None:
        now, seen = time.time(), told["object"]
        name = seen["metadata"].get("labels", {}).get(_SERVICE) or seen["metadata"]["name"]
        if seen["kind"] == "Deployment":
            if seen["spec"]["replicas"]:
                self.wanted.setdefault(name, now)
            return
        status = seen.get("status", {})
        if any("running" in one["state"] for one in status.get("containerStatuses", ())):
            self.ran.setdefault(name, now)
        if address := status.get("podIP"):
            self.addresses[name] = address


def missing() -> str:
    """Why nothing can be measured; "" when it can."""
    return builds.why_no_api_server() or builds.why_no_cluster() or ""


def measured() -> list[dict[str, Any]]:
    """A row for each kind and number at once."""
    found: dict[tuple[int, str], list[Start]] = {}
    with ExitStack() as stack:
        kubeconfig = Path(tool("up").strip())
        tool("load", told(TOOLS / "image" / "build").strip())
        release = stack.enter_context(installed(kubeconfig, IMAGE))
        for kind, guard in KINDS.items():
            with namespace() as kubectl, watched(kubectl) as moments:
                shop = Shop.of(kubectl)
                shop.open(*objects(shop, guard))
                with release.edge() as edge:
                    for number in AT_ONCE:
                        for names in groups(number):
                            found.setdefault((number, kind), []).extend(woken(shop, edge, moments, names))
                            hands = [f"{one}-{number}-{len(found[number, kind])}" for one in names]  # never one again
                            found.setdefault((number, BY_HAND), []).extend(by_hand(shop, moments, hands))
    return [row(number, kind, found) for number in AT_ONCE for kind in (BY_HAND, *KINDS)]


def groups(number: int) -> Iterator[Sequence[str]]:
    """Who is woken together, until there are enough samples."""
    names = [f"cold-{index:02}" for index in range(MOST)]
    for taken in range(0, SAMPLES, number):
        first = taken % (MOST - MOST % number)
        yield names[first : first + number]


def objects(shop: Shop, guard: str) -> Iterator[dict[str, Any]]:
    for index in range(MOST):
        name = f"cold-{index:02}"
        yield origin_service(name, IMAGE, spec={"guard": guard, "scaling": SCALING})
        yield edge_route(name, shop.host(name), name)


def woken(shop: Shop, edge: Address, moments: Moments, names: Sequence[str]) -> list[Start]:
    """The first requests of these, at once."""
    eventually_sync(lambda: asleep(shop, names), within_s=_WITHIN_S, step_s=0.5, what="origins asleep")
    for name in names:
        moments.forget(name)

    def wake(name: str) -> Start:
        began = time.time()
        answered = asked(edge, shop.host(name), _WITHIN_S)
        return start(moments, name, began, answered)

    return together([partial(wake, name) for name in names])


def asleep(shop: Shop, names: Sequence[str]) -> bool:
    listed = json.loads(shop.kubectl("get", "pods", f"--selector={_SERVICE}", "--output=json"))["items"]
    return not {one["metadata"]["labels"][_SERVICE] for one in listed} & {*names}


def by_hand(shop: Shop, moments: Moments, names: Sequence[str]) -> list[Start]:
    """Pods of these names, at once; and gone again."""

    def make(name: str) -> Start:
        began = moments.wanted[name] = time.time()
        shop.kubectl("create", "--filename=-", stdin=json.dumps(pod(name, origin(IMAGE))))
        while name not in moments.addresses:
            time.sleep(_POLL_S)
        answered = asked(Address(moments.addresses[name], PORT), "localhost", _WITHIN_S)
        return start(moments, name, began, answered)

    found = together([partial(make, name) for name in names])
    shop.kubectl("delete", "pod", *names, "--now")
    return found


def start(moments: Moments, name: str, began: float, answered: float) -> Start:
    """The watch may tell a moment after the answer that what answered ran."""
    wanted = moments.wanted.get(name, began)
    ran = min(moments.ran.get(name, answered), answered)
    return Start(*(1e3 * part for part in (wanted - began, ran - wanted, answered - ran, answered - began)))


def asked(address: Address, host: str, within_s: float) -> float:
    """When the answer began, to a request that is repeated only while nobody listens."""
    deadline = time.time() + within_s
    while time.time() < deadline:
        connection = http.client.HTTPConnection(*address, timeout=within_s)
        try:
            connection.request("GET", "/", headers={"Host": host})
            response = connection.getresponse()
            answered = time.time()
            if response.status != http.client.OK:
                raise RuntimeError(f"{host}: {response.status} {response.read()!r}")
            return answered
        except OSError:
            time.sleep(_POLL_S)
        finally:
            connection.close()
    raise RuntimeError(f"{host}: no answer within {within_s:g} s")


def together(calls: Sequence[Callable[[], Start]]) -> list[Start]:
    with ThreadPoolExecutor(len(calls)) as threads:
        return [future.result() for future in [threads.submit(call) for call in calls]]


def row(number: int, kind: str, found: dict[tuple[int, str], list[Start]]) -> dict[str, Any]:
    starts = found[number, kind]
    by_hand_ms = median(one.all for one in found[number, BY_HAND])
    spread = {part: ranks([getattr(one, part) for one in starts]) for part in PARTS}
    ratio = spread["all"]["p50_ms"] / by_hand_ms
    return {"at_once": number, "kind": kind, "samples": len(starts), "ratio": ratio, **spread}


def ranks(values: Sequence[float]) -> dict[str, float]:
    ranked = sorted(values)
    return {"p50_ms": median(ranked), "p95_ms": ranked[round(0.95 * (len(ranked) - 1))]}


@contextmanager
def watched(kubectl: Callable[..., str]) -> Iterator[Moments]:
    """What the watches of Deployments and pods of the namespace tell while the block runs."""
    shop, moments = Shop.of(kubectl), Moments()
    kubectl("create", "--filename=-", stdin=json.dumps(origin_program()))
    paths = (f"/apis/apps/v1/namespaces/{shop.namespace}/deployments", f"/api/v1/namespaces/{shop.namespace}/pods")
    with ExitStack() as stack:
        for path in paths:
            command = [str(TOOLS / "cluster" / "kubectl"), "get", "--raw", f"{path}?watch=true"]
            process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            stack.callback(process.kill)
            threading.Thread(target=_read, args=(process, moments), daemon=True).start()
        yield moments


def _read(process: subprocess.Popen[str], moments: Moments) -> None:
    assert process.stdout
    for line in process.stdout:
        moments.see(json.loads(line))


if __name__ == "__main__":
    print(json.dumps({"missing": missing, "measured": measured}[sys.argv[1]]()))
