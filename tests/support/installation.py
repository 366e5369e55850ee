"""Edgerun as the chart installs it into a real API server, with the operator run by the test instead of by a node.

The operator has the rights of the chart's ServiceAccount and no others. Nothing behind the API server makes pods, so a
test makes what a node would have made: an object `Pod` that says it is ready, and an Envoy with the files of the pod.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from edgerun.api import API_VERSION
from edgerun.api.meta import ObjectKey
from edgerun.infra.kubernetes.client import Client
from edgerun.infra.kubernetes.leader import Timing
from edgerun.runtime import cluster
from edgerun.runtime.cluster import ClusterRuntime
from edgerun.settings import ClusterSettings
from edgerun.sources.cluster import Pace
from edgerun.translate.channel import AUDIENCE, CONFIG_FOLDER, TOKEN_FILE
from edgerun.translate.envoy_pods import ADMIN_SOCKET
from edgerun.translate.labels import edge_labels, object_name
from support.apiserver import ApiServer
from support.chart import CRD, kubectl, objects, render
from support.ports import free_port
from support.proxies import Envoy
from support.volumes import Volume

ENVOY = Path(sys.executable).with_name("envoy")
POD_IP = "10.1.2.3"  # an API server takes no loopback address for an endpoint
TIMING = Timing(retry_s=0.3)
PACE = Pace(settle_s=0.2)
IMAGE = "edgerun:test"

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Installation:
    """In `namespace`; objects count in `shop`, or in every namespace when that is ""."""

    server: ApiServer
    namespace: str
    shop: str
    kubeconfig: Path

    def settings(self, name: str = "edgerun-0", **others: Any) -> ClusterSettings:
        return ClusterSettings(
            namespace=self.namespace,
            pod_name=name,
            pod_ip=POD_IP,
            image=IMAGE,
            xds_port=others.pop("xds_port", None) or free_port(),
            http_port=free_port(),
            kubeconfig=others.pop("kubeconfig", self.kubeconfig),
            watch_namespaces=(self.shop,) if self.shop else (),
            default_edge_proxy={"serviceType": "ClusterIP", "replicas": 1},
            **others,
        )

    def token(self, account: str, *options: str) -> str:
        return kubectl(self.server, "create", "token", account, "-n", self.namespace, *options).strip()

    def key(self, kind: str, name: str) -> ObjectKey:
        return ObjectKey(kind, self.namespace, name)


def install(server: ApiServer, namespace: str, shop: str, folder: Path, **values: Any) -> Installation:
    values = {"fullnameOverride": "edgerun", "watchNamespaces": [shop] if shop else [], **values}
    found = [
        one
        for one in objects(render(values, "--namespace", namespace))
        if one["kind"] != CRD
        and not one["apiVersion"].startswith("monitoring.")
        and "helm.sh/hook" not in one["metadata"].get("annotations", {})
    ]
    kubectl(server, "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=yaml.safe_dump_all(found))
    config = yaml.safe_load(server.kubeconfig.read_text())
    token = kubectl(server, "create", "token", "edgerun", "-n", namespace).strip()
    for user in config["users"]:
        user["user"] = {"token": token}
    kubeconfig = folder / "operator.kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(config))
    return Installation(server, namespace, shop, kubeconfig)


@asynccontextmanager
async def operating(settings: ClusterSettings) -> AsyncIterator[ClusterRuntime]:
    """One replica at work, in this process."""
    async with cluster.running(settings, TIMING, PACE) as runtime:
        yield runtime


def edge_proxy(name: str, **spec: Any) -> dict[str, Any]:
    spec = {"serviceType": "ClusterIP", "replicas": 1} | spec
    return {"apiVersion": API_VERSION, "kind": "EdgeProxy", "metadata": {"name": name}, "spec": spec}


def origin_service(namespace: str, name: str, **pod: Any) -> dict[str, Any]:
    template = {"spec": {"containers": [{"image": "shop/cart:1"}], **pod}}
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": API_VERSION, "kind": "OriginService", "metadata": metadata, "spec": {"template": template}}


async def ready_pod(client: Client, place: Installation, fleet: str, name: str) -> None:
    """What a Deployment's controller, a scheduler and a kubelet would come to."""
    metadata = {"name": name, "namespace": place.namespace, "labels": dict(edge_labels(fleet))}
    spec = {"serviceAccountName": object_name(fleet), "containers": [{"name": "envoy", "image": IMAGE}]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}
    await client.create({**pod, "spec": spec})
    conditions = [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]
    await client.apply_status({**pod, "status": {"podIP": "10.1.2.4", "conditions": conditions}})


@asynccontextmanager
async def edge_pod(
    client: Client, place: Installation, fleet: str, name: str, xds_port: int, folder: Path
) -> AsyncIterator[Envoy]:
    """The Envoy of a pod that is there as an object: its arguments, its ConfigMap, and a token of its own."""
    deployment = await client.get(place.key("Deployment", object_name(fleet)))
    config_map = await client.get(place.key("ConfigMap", object_name(fleet)))
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    bound = ("--bound-object-kind", "Pod", "--bound-object-name", name)
    token = place.token(object_name(fleet), "--audience", AUDIENCE, *bound)
    volumes = {CONFIG_FOLDER: Volume(folder / "config"), TOKEN_FILE.parent: Volume(folder / "token")}
    paths = {str(path): str(volume.folder) for path, volume in volumes.items()}
    paths[str(ADMIN_SOCKET)] = str(folder / "admin.sock")
    volumes[CONFIG_FOLDER].write({name: _moved(text, paths) for name, text in config_map["data"].items()})
    volumes[TOKEN_FILE.parent].write({TOKEN_FILE.name: token})
    arguments = [_moved(one, paths).replace("$(POD_NAME)", name) for one in container["args"]]
    at = arguments.index("--config-yaml") + 1
    arguments[at] = _reached_here(arguments[at], xds_port)
    silent = asyncio.subprocess.DEVNULL  # it logs every request
    process = await asyncio.create_subprocess_exec(ENVOY, *arguments, stdout=silent, start_new_session=True)
    try:
        yield Envoy(process, folder / "admin.sock")
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _moved(text: str, paths: Mapping[str, str]) -> str:
    for there, here in paths.items():
        text = text.replace(there, here)
    return text


def _reached_here(config: str, port: int) -> str:
    """There is no Service and no DNS: the control plane is on this machine."""
    found = json.loads(config)
    (xds,) = (one for one in found["static_resources"]["clusters"] if one["name"] == "xds")
    (endpoint,) = xds["load_assignment"]["endpoints"][0]["lb_endpoints"]
    endpoint["endpoint"]["address"]["socket_address"] = {"address": "127.0.0.1", "port_value": port}
    return json.dumps(found)
