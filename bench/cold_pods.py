"""How long the first request of an origin takes in a cluster that has no pod, and where the time goes; beside the same
container in a pod that somebody makes by hand. Run with `missing` or `measured`; the second prints JSON.

The cluster is one of its own making, in a folder of its own, and gone afterwards, also when something fails. When a
Deployment is given a replica, watches tell; all else that happens within the pod its program tells. A start by hand
begins when its pod is there, so that the command which makes it takes no part.
Trap: an origin falls asleep a window after its last request, so many are put to sleep together, and woken one by one.
And a kubelet looks at its containers once a second. So no start begins at a moment that the one before has chosen.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import starts
from documents import document
from starts import APP, KINDS, MOST, SCALING, Start, asked, command, names, together
from tools import builds

from edgerun.translate.labels import ORIGIN_SERVICE
from support.cluster import TOOLS, Address, told, tool
from support.namespaces import namespace
from support.pods import PORT, pod, restricted
from support.poll import eventually_sync
from support.release import installed
from support.shop import Shop, edge_route

IMAGE = "edgerun.dev/edgerun:dev"
WITHIN_S = 120.0
_ASLEEP_WITHIN_S = _READY_WITHIN_S = 300.0
_ENDINGS = (signal.SIGINT, signal.SIGTERM)
_COMMAND = command("python3", f"/cold/{APP.name}")
_VOLUMES = [{"name": "cold", "configMap": {"name": "cold"}}]
_MOUNTS = [{"name": "cold", "mountPath": "/cold"}]
_numbers = count()  # of pods made by hand: no name comes again


@dataclass(slots=True)
class Seen:
    """What watches have told, by OriginService or pod made by hand: when a replica was wanted, and had an address; and
    the pods' addresses, "" where there is none yet."""

    wanted: dict[str, float] = field(default_factory=dict)
    addressed: dict[str, float] = field(default_factory=dict)
    pods: dict[str, dict[str, str]] = field(default_factory=dict)

    def see(self, change: str, seen: Mapping[str, Any]) -> None:
        name = seen["metadata"]["name"]
        owner = seen["metadata"].get("labels", {}).get(ORIGIN_SERVICE, name)
        if seen["kind"] == "Deployment":
            self._want(owner, seen["spec"]["replicas"])
            return
        pods = self.pods.setdefault(owner, {})
        if change == "DELETED":
            pods.pop(name, None)
        else:
            self._want(name, 1)
            pods[name] = seen.get("status", {}).get("podIP", "")
            if pods[name]:
                self.addressed.setdefault(owner, time.time())

    def _want(self, owner: str, replicas: int) -> None:
        if replicas:
            self.wanted.setdefault(owner, time.time())
        else:
            self.wanted.pop(owner, None)

    def forget(self, owners: Sequence[str]) -> None:
        """When they had their addresses before."""
        for one in owners:
            self.addressed.pop(one, None)

    def awake(self, owners: Sequence[str]) -> list[str]:
        return [one for one in owners if one in self.wanted or self.pods.get(one)]


@dataclass(frozen=True, slots=True)
class Place:
    shop: Shop
    seen: Seen

    def asleep(self, names: Sequence[str]) -> None:
        def reached() -> bool:
            assert not (awake := self.seen.awake(names)), f"awake: {', '.join(awake)}"
            return True

        eventually_sync(reached, within_s=_ASLEEP_WITHIN_S, step_s=0.2, what="origins fall asleep")

    def woken(self, edge: Address, names: Sequence[str]) -> list[Start]:
        """The first requests of these, at once."""
        self.asleep(names)
        self.seen.forget(names)
        any_time()
        return together([partial(self._woken, edge, name) for name in names])

    def _woken(self, edge: Address, name: str) -> Start:
        began = time.time()
        answer = asked(edge, self.shop.host(name), WITHIN_S)
        return self._start(name, began, answer)

    def by_hand(self, names: Sequence[str]) -> list[Start]:
        """Pods, as many as there are names, at once; and gone again."""
        made = [f"by-hand-{next(_numbers)}" for _ in names]
        listed = {"apiVersion": "v1", "kind": "List", "items": [pod(name, of_a_pod_by_hand()) for name in made]}
        any_time()
        with ThreadPoolExecutor(1) as hand:
            making = hand.submit(self.shop.kubectl, "create", "--filename=-", stdin=json.dumps(listed))
            found = together([partial(self._by_hand, name) for name in made])
            making.result()
        self.shop.kubectl("delete", "pod", *made, "--now", f"--timeout={WITHIN_S:.0f}s")
        return found

    def _by_hand(self, name: str) -> Start:
        address = eventually_sync(partial(self._address, name), within_s=WITHIN_S, what=f"pod {name} has an address")
        answer = asked((address, PORT), name, WITHIN_S)
        return self._start(name, self.seen.wanted[name], answer)

    def _address(self, name: str) -> str:
        return self.seen.pods.get(name, {}).get(name, "")

    def _start(self, name: str, began: float, answer: starts.Answer) -> Start:
        if answer.began < began:
            raise RuntimeError(f"{name} was not asleep: its process began {began - answer.began:.1f} s before")
        return starts.start(
            began=began,
            write=self.seen.wanted[name],
            start=answer.began,
            listen=answer.listened,
            address=max(answer.listened, self.seen.addressed[name]),
            forward=answer.asked,
            answer=answer.answered,
        )


def any_time() -> None:
    time.sleep(random.uniform(0, 1))


def missing() -> str:
    """Why nothing can be measured; "" when it can."""
    return builds.why_no_api_server() or ("" if os.geteuid() == 0 else "root is missing, who can make a cluster")


def measured() -> list[dict[str, Any]]:
    """A row for each kind and number at once."""
    for ending in _ENDINGS:
        signal.signal(ending, end)
    with ExitStack() as stack:
        release = stack.enter_context(installed(stack.enter_context(cluster()), IMAGE))
        place = stack.enter_context(watched(Shop.of(stack.enter_context(namespace()))))
        starts.say(f"{MOST * len(KINDS)} origins become ready")
        opened(place.shop)
        edge = stack.enter_context(release.edge())
        return starts.rows(starts.in_turns(place.by_hand, partial(place.woken, edge)))


def end(*_: object) -> None:
    """Ends what was begun, once: who then asks again waits for that."""
    for ending in _ENDINGS:
        signal.signal(ending, signal.SIG_IGN)
    raise KeyboardInterrupt


@contextmanager
def cluster() -> Iterator[Path]:
    """Its kubeconfig, which tools/cluster finds by KUBECONFIG. Edgerun's image is there."""
    with TemporaryDirectory(prefix="edgerun-bench-") as parent, ExitStack() as stack:
        folder = Path(parent, "cluster")
        starts.say("the image is built, and a cluster comes up")
        archive = told(TOOLS / "image" / "build").strip()
        stack.callback(tool, "down", folder)
        kubeconfig = tool("up", folder).strip()
        tool("load", "--folder", folder, archive)
        os.environ["KUBECONFIG"] = kubeconfig
        yield Path(kubeconfig)


def opened(shop: Shop) -> None:
    """All objects, once all are Ready."""
    program = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "cold"},
        "data": {APP.name: APP.read_text()},
    }
    guards = {name: guard for kind, guard in KINDS.items() for name in names(kind)}
    services = [service(name, guard) for name, guard in guards.items()]
    routes = [edge_route(name, shop.host(name), name) for name in guards]
    listed = {"apiVersion": "v1", "kind": "List", "items": [program, *services, *routes]}
    shop.kubectl("create", "--filename=-", stdin=json.dumps(listed))
    ready = ("--for=condition=Ready", f"--timeout={_READY_WITHIN_S:.0f}s")
    shop.kubectl("wait", "originservices,edgeroutes", "--all", *ready)


def service(name: str, guard: str) -> dict[str, Any]:
    container = {"image": IMAGE, "imagePullPolicy": "Never", "command": _COMMAND, "volumeMounts": _MOUNTS}
    pod = {"securityContext": {"runAsNonRoot": True}, "volumes": _VOLUMES, "containers": [container]}
    template = {"spec": {**pod, "terminationGracePeriodSeconds": 1}}  # the program is deaf to signals
    return document("OriginService", name, {"guard": guard, "scaling": SCALING, "template": template})


def of_a_pod_by_hand() -> dict[str, Any]:
    """The same container."""
    spec = restricted(IMAGE, _COMMAND, env=[{"name": "PORT", "value": str(PORT)}], volumeMounts=_MOUNTS)
    return {**spec, "automountServiceAccountToken": False, "enableServiceLinks": False, "volumes": _VOLUMES}


@contextmanager
def watched(shop: Shop) -> Iterator[Place]:
    """What the watches of Deployments and pods of the namespace tell while the block runs."""
    seen = Seen()
    paths = (f"/apis/apps/v1/namespaces/{shop.namespace}/deployments", f"/api/v1/namespaces/{shop.namespace}/pods")
    with ExitStack() as stack:
        for path in paths:
            command = [str(TOOLS / "cluster" / "kubectl"), "get", "--raw", f"{path}?watch=true"]
            process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            reading = threading.Thread(target=_read, args=(process, seen), daemon=True)
            stack.callback(reading.join)
            stack.callback(process.kill)
            reading.start()
        yield Place(shop, seen)


def _read(process: subprocess.Popen[str], seen: Seen) -> None:
    assert process.stdout
    for line in process.stdout:
        if line.endswith("\n"):  # the last one is cut off where the watch is ended
            told = json.loads(line)
            seen.see(told["type"], told["object"])


if __name__ == "__main__":
    print(json.dumps({"missing": missing, "measured": measured}[sys.argv[1]]()))
