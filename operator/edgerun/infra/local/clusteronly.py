"""What a pod template may ask for and only a cluster has: said, with the way out, instead of left away.

What makes no difference to a process of this machine (resources, scheduling, ServiceAccounts, liveness, ...) is not
spoken of: it has no effect here, as docs/standalone.md says.
"""

from collections.abc import Iterator

from ...api.templates import Container, PodSpec, Probe
from .launch import LaunchError


def require_local(spec: PodSpec) -> None:
    """Raises LaunchError when a process would not get what the template promises it."""
    missing = [f"{field}: {why}" for field, why in _missing(spec)]
    if missing:
        raise LaunchError("NeedsCluster", "; ".join(missing))


def _missing(spec: PodSpec) -> Iterator[tuple[str, str]]:
    first, *sidecars = spec.containers
    for field, why in (*_of_container(first), *_of_probe(first.readiness_probe)):
        yield f"containers[0].{field}", why
    for index, sidecar in enumerate(sidecars, start=1):
        why = f'the standalone mode runs one process; make "{sidecar.name}" an OriginService, or leave it away here'
        yield f"containers[{index}]", why
    if spec.init_containers:
        yield "initContainers", "in the standalone mode nothing runs before the process; let `command` do it"


def _of_container(container: Container) -> Iterator[tuple[str, str]]:
    for index, variable in enumerate(container.env):
        if variable.value_from is not None:
            why = f"the standalone mode has no objects to take {variable.name} from; write a `value` for this machine"
            yield f"env[{index}].valueFrom", why
    if container.env_from:
        yield "envFrom", "the standalone mode has no ConfigMaps and Secrets; list the variables in `env`"
    for field, given in (("volumeMounts", container.volume_mounts), ("volumeDevices", container.volume_devices)):
        if given:
            why = "the standalone mode has no volumes; the process sees your files, so tell it their path in `env`"
            yield field, why


def _of_probe(probe: Probe) -> Iterator[tuple[str, str]]:
    way_out = "the standalone mode knows httpGet over HTTP and tcpSocket, of the process itself; use one of them"
    asked = {
        "exec": probe.exec is not None,
        "grpc": probe.grpc is not None,
        "httpGet.scheme": probe.http_get is not None and probe.http_get.scheme == "HTTPS",
        "httpGet.host": probe.http_get is not None and bool(probe.http_get.host),
        "tcpSocket.host": probe.tcp_socket is not None and bool(probe.tcp_socket.host),
    }
    yield from ((f"readinessProbe.{field}", way_out) for field, given in asked.items() if given)
