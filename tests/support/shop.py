"""EdgeRoutes and OriginServices as users write them, for tests on a cluster, and how they fare there.

Every origin is support/origins.py in Edgerun's own image; its program comes to the pods as the ConfigMap `origin`.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edgerun.api import API_VERSION
from edgerun.translate.labels import ORIGIN_SERVICE, REVISION
from support.pods import FOLDER, PROGRAM, origin_program
from support.poll import eventually_sync

READY_WITHIN_S = 90
NOTHING: Mapping[str, Any] = {}


def origin_service(
    name: str,
    image: str,
    *,
    replicas: int = 1,
    said: str = "",
    env: Mapping[str, str] = NOTHING,
    spec: Mapping[str, Any] = NOTHING,
    **pod: Any,
) -> dict[str, Any]:
    """An OriginService whose answers have `said`, or its name, in x-origin; `spec` is what it has beside its template,
    `env` more variables of its container."""
    variables = {"ADDRESS": "0.0.0.0", "NAME": said or name, **env}
    container = {
        "image": image,
        "imagePullPolicy": "Never",
        "command": ["python3", f"{FOLDER}/{PROGRAM.name}"],
        "env": [{"name": key, "value": value} for key, value in variables.items()],
        "volumeMounts": [{"name": "origin", "mountPath": FOLDER}],
    }
    template = {
        "securityContext": {"runAsNonRoot": True},
        "volumes": [{"name": "origin", "configMap": {"name": "origin"}}],
        "containers": [container],
        **pod,
    }
    return _object("OriginService", name, {"scaling": {"minScale": replicas}, "template": {"spec": template}, **spec})


def edge_route(name: str, host: str, *origins: str, **spec: Any) -> dict[str, Any]:
    """An EdgeRoute that leads every request for `host` to the origins, or answers with its name when there are none."""
    answer = {"origins": [{"service": {"name": one}} for one in origins]} if origins else {"respond": {"body": name}}
    return _object("EdgeRoute", name, {"hostnames": [host], "rules": [{"name": "all", **answer}], **spec})


def _object(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}


@dataclass(frozen=True, slots=True)
class Shop:
    """A namespace. `kubectl` speaks of what is in it."""

    kubectl: Callable[..., str]
    namespace: str

    @classmethod
    def of(cls, kubectl: Callable[..., str]) -> "Shop":
        """The namespace that `kubectl` speaks of."""
        asked = ("create", "configmap", "any", "--dry-run=client", "--output=jsonpath={.metadata.namespace}")
        return cls(kubectl, kubectl(*asked))

    def host(self, name: str) -> str:
        """A host that no other test has: a route that is being deleted answers in the place of a younger one."""
        return f"{name}.{self.namespace}.test"

    def open(self, *objects: dict[str, Any]) -> None:
        """Applies them, and waits until each is Ready."""
        self.apply(origin_program(), *objects)
        for one in objects:
            self.until(one["kind"], one["metadata"]["name"], "True")

    def apply(self, *objects: dict[str, Any]) -> None:
        for one in objects:
            self.kubectl("apply", "--filename=-", stdin=json.dumps(one))

    def get(self, kind: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kubectl("get", kind, name, "--output=json"))
        return found

    def condition(self, kind: str, name: str, type: str = "Ready") -> dict[str, Any]:
        """The condition of that type, of this very generation; empty while there is none."""
        found = self.get(kind, name)
        conditions = found.get("status", {}).get("conditions", ())
        return next((one for one in conditions if one["type"] == type and _newest(one, found)), {})

    def until(self, kind: str, name: str, status: str, reason: str = "") -> dict[str, Any]:
        """Waits for the Ready condition to be so, and gives it."""

        def reached() -> dict[str, Any]:
            found = self.condition(kind, name)
            assert found.get("status") == status, found
            assert reason in ("", found["reason"]), found
            return found

        return eventually_sync(reached, within_s=READY_WITHIN_S, step_s=0.3)

    def alone(self, name: str) -> None:
        """Waits until nothing is left of any revision of the OriginService but of the newest, and that is ready."""

        def reached() -> bool:
            status = self.get("originservice", name)["status"]
            newest = status["latestReadyRevisionName"]
            assert newest == status["latestCreatedRevisionName"], status
            assert {one["revisionName"]: one["percent"] for one in status["traffic"]} == {newest: 100}, status
            pods = self.kubectl("get", "pods", f"--selector={ORIGIN_SERVICE}={name}", "--output=json")
            revisions = {one["metadata"]["labels"][REVISION] for one in json.loads(pods)["items"]}
            assert revisions == {newest}, revisions
            return True

        eventually_sync(reached, within_s=READY_WITHIN_S, step_s=0.3)


def _newest(condition: dict[str, Any], found: dict[str, Any]) -> bool:
    return bool(condition["observedGeneration"] == found["metadata"]["generation"])
