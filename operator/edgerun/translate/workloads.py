"""An OriginRevision, and its Deployment: the user's PodSpec, and what makes it a good origin where the user was silent.

What is filled in: the variables that Cloud Run promises, a port, a quick readiness probe, a pause before the end in
which the edge hears of it, and rights. The rights are those of Knative's `secure-pod-defaults: root-allowed`, which is
all that Pod Security's "restricted" asks for but `runAsNonRoot`: most images name no user, and would not start. What
a guard adds comes from `guard_pods`, and changes nothing of this.

Trap: whatever differs here between two versions of the operator replaces every replica of every origin on an upgrade.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from ..api import API_VERSION, originrevision
from ..api.originrevision import OriginRevisionSpec
from ..api.originservice import KIND, OriginService
from ..api.templates import DEFAULT_CONTAINER_PORT, Container, ContainerPort, PodSpec, Probe
from .guard_pods import Sidecar, pause_s
from .labels import EPOCH, EPOCH_BEFORE, origin_labels, origin_object_name, revision_labels, revision_selector
from .plan import Running
from .references import MARK, RECORD, record
from .revisions.revision import Revision
from .world import Rolled

PROGRESS_DEADLINE_S = 600
SERVICE, PORT = "K_SERVICE", "PORT"

_NEW = Rolled()
_QUICK: Mapping[str, int] = {"periodSeconds": 1, "failureThreshold": 10}
_PRIVILEGED_PORTS_END = 1024
_ADMINISTRATOR = ("SYS_ADMIN", "CAP_SYS_ADMIN")


def origin_deployment(run: Running, rolled: Rolled = _NEW, *, sidecar: Sidecar | None = None) -> dict[str, Any]:
    """The Deployment of a revision, as it is applied; `sidecar` is the guard, where there is one."""
    name = run.key.name
    made = revision_object("apps/v1", "Deployment", run.service, name)
    annotations = {RECORD: record(rolled.versions)} if rolled.versions else {}
    if run.epoch:
        annotations[EPOCH] = str(run.epoch)
    if run.before is not None:
        annotations[EPOCH_BEFORE] = str(run.before)
    if annotations:
        made["metadata"]["annotations"] = annotations
    spec = {
        "replicas": run.replicas,
        "revisionHistoryLimit": 1,
        "progressDeadlineSeconds": PROGRESS_DEADLINE_S,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}},
        "selector": {"matchLabels": dict(revision_selector(run.service.metadata.name, name))},
        "template": _template(run, rolled.mark, sidecar),
    }
    return made | {"spec": spec}


def origin_revision(service: OriginService, revision: Revision) -> dict[str, Any]:
    """The OriginRevision, as it is made; nothing of its `spec` may be another one later."""
    made = revision_object(API_VERSION, originrevision.KIND, service, revision.name)
    spec = OriginRevisionSpec(template=revision.template, number=revision.number, given=revision.given)
    return made | {"spec": _plain(spec)}


def origin_object(api_version: str, kind: str, service: OriginService) -> dict[str, Any]:
    """What the objects have in common that all revisions share. They go when the OriginService goes."""
    name = service.metadata.name
    return _object(api_version, kind, service, origin_object_name(name, kind), origin_labels(name))


def revision_object(api_version: str, kind: str, service: OriginService, name: str) -> dict[str, Any]:
    """What the objects of a revision have in common, which are called after it."""
    return _object(api_version, kind, service, name, revision_labels(service.metadata.name, name))


def _object(
    api_version: str, kind: str, service: OriginService, name: str, labels: Mapping[str, str]
) -> dict[str, Any]:
    metadata = {
        "name": name,
        "namespace": service.metadata.namespace,
        "labels": dict(labels),
        "ownerReferences": [_owner(service)],
    }
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


def _owner(service: OriginService) -> Mapping[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": service.metadata.name,
        "uid": service.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }


def _template(run: Running, mark: str, sidecar: Sidecar | None) -> Mapping[str, Any]:
    given = run.service.spec.template.metadata
    labels = revision_labels(run.service.metadata.name, run.key.name)
    metadata: dict[str, Any] = {"labels": {**given.labels, **labels}}
    if annotations := {**given.annotations, **({MARK: mark} if mark else {})}:
        metadata["annotations"] = annotations
    pod = _pod(run)
    return {"metadata": metadata, "spec": _guarded(pod, sidecar) if sidecar else pod}


def _pod(run: Running) -> Mapping[str, Any]:
    spec = run.service.spec.template.spec
    passed_on = _plain(msgspec.structs.replace(spec, container_concurrency=0))  # that one is the guard's
    pod = {"automountServiceAccountToken": False, "enableServiceLinks": False, **passed_on}
    pod["securityContext"] = {"seccompProfile": {"type": "RuntimeDefault"}, **(spec.security_context or {})}
    pod["containers"] = [_serving(run), *map(_container, spec.containers[1:])]
    if spec.init_containers:
        pod["initContainers"] = [_container(container) for container in spec.init_containers]
    return pod


def _guarded(pod: Mapping[str, Any], sidecar: Sidecar) -> Mapping[str, Any]:
    """The guard comes before all else of the user's, and goes after it."""
    # In the node's network the node's own DNS would be asked, which knows no Service.
    names = {"dnsPolicy": "ClusterFirstWithHostNet"} if pod.get("hostNetwork") else {}
    return {
        **names,
        **pod,
        "initContainers": [sidecar.container, *pod.get("initContainers", ())],
        "volumes": [*pod.get("volumes", ()), *sidecar.volumes],
    }


def _serving(run: Running) -> Mapping[str, Any]:
    """The container that takes the requests."""
    given = run.service.container
    ports = given.ports or (ContainerPort(container_port=DEFAULT_CONTAINER_PORT),)
    made = _container(msgspec.structs.replace(given, ports=ports))
    made["env"] = [*_platform(run), *made.get("env", ())]
    made["readinessProbe"] = _readiness(given.readiness_probe, given.port)
    if lifecycle := {**_pause(run.service.spec.template.spec), **(given.lifecycle or {})}:
        made["lifecycle"] = lifecycle
    return made


def _container(container: Container) -> dict[str, Any]:
    """Any container: what Kubernetes cannot do without, spelled out, rights, and last words for the conditions."""
    made = {"name": container.name, **_plain(container), "securityContext": _rights(container)}
    made.setdefault("terminationMessagePolicy", "FallbackToLogsOnError")
    if container.ports:
        made["ports"] = [_plain(port) | {"protocol": port.protocol} for port in container.ports]
    port = container.ports[0].container_port if container.ports else None
    if container.readiness_probe != Probe():
        made["readinessProbe"] = _readiness(container.readiness_probe, port)
    for field, probe in (("livenessProbe", container.liveness_probe), ("startupProbe", container.startup_probe)):
        if probe is not None:
            made[field] = _probe(probe, port)
    return made


def _platform(run: Running) -> list[Mapping[str, str]]:
    """They come before the user's own, which may refer to them."""
    name, port = run.service.metadata.name, str(run.service.container.port)
    platform = {PORT: port, SERVICE: name, "K_REVISION": run.key.name, "K_CONFIGURATION": name}
    return [{"name": variable, "value": value} for variable, value in platform.items()]


def _readiness(probe: Probe, port: int | None) -> Mapping[str, Any]:
    """Nothing said of what is asked: a connection, every second, so that a start is noticed soon."""
    made = _probe(probe, port)
    return {**_QUICK, **made} if made.get("tcpSocket") and probe.tcp_socket is None else made


def _probe(probe: Probe, port: int | None) -> Mapping[str, Any]:
    """Without a port it asks the container's; where there is none either, the API server says so."""
    made = _plain(probe)
    if not made.keys() & {"exec", "grpc", "httpGet", "tcpSocket"}:
        made["tcpSocket"] = {}
    if port is not None:
        made |= {kind: {"port": port} | made[kind] for kind in ("grpc", "httpGet", "tcpSocket") if kind in made}
    return made


def _pause(spec: PodSpec) -> Mapping[str, Any]:
    """A pod is told to end and taken from the edge at the same moment: until the edge knows, it serves on."""
    return {"preStop": {"sleep": {"seconds": pause_s(spec)}}} if pause_s(spec) else {}


def _rights(container: Container) -> Mapping[str, Any]:
    """What the user says of a right counts, even if that is nothing, as in `capabilities: {}`."""
    given = container.security_context or {}
    if given.get("privileged") is True:
        return given
    kept = {"add": ["NET_BIND_SERVICE"]} if _has_privileged_port(container) else {}
    made = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"], **kept}, **given}
    if "allowPrivilegeEscalation" not in given and _is_administrator(given.get("capabilities")):
        del made["allowPrivilegeEscalation"]  # an API server refuses the two together
    return made


def _has_privileged_port(container: Container) -> bool:
    return any(port.container_port < _PRIVILEGED_PORTS_END for port in container.ports)


def _is_administrator(capabilities: object) -> bool:
    """Of whatever was written there: an API server has not judged it yet."""
    added = capabilities.get("add") if isinstance(capabilities, Mapping) else None
    return isinstance(added, list) and any(name in _ADMINISTRATOR for name in added)


def _plain(part: msgspec.Struct) -> dict[str, Any]:
    """What was given of `part`, in lists and dictionaries of its own."""
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(part))
    return plain
