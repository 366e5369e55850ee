"""Objects for tests, from the YAML that a user would write, and Worlds of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

from edgerun.api.edgeroute import EdgeRoute
from edgerun.api.meta import ObjectKey
from edgerun.api.originservice import KIND, OriginService
from edgerun.api.problems import Refusal
from edgerun.translate.names import revision_key
from edgerun.translate.phases import OriginPhase
from edgerun.translate.plan import Running
from edgerun.translate.revisions.naming import numbered
from edgerun.translate.world import Edge, Endpoint, Installation, OriginObservation, World

READY = OriginPhase.READY
PLACE = Installation(
    namespace="edge-system",
    uid="0a1b",
    image="edgerun:1.2.3",
    image_pull_policy="IfNotPresent",
    image_pull_secrets=("registry",),
    trust_bundle="-----BEGIN CERTIFICATE-----\n...\n-----END CERTIFICATE-----\n",
)


def edge_route(name: str = "web", *, namespace: str = "shop", created: str = "", **spec: Any) -> EdgeRoute:
    """An EdgeRoute whose spec is written as in YAML."""
    metadata = {"name": name, "namespace": namespace, "creationTimestamp": created}
    return msgspec.convert({"metadata": metadata, "spec": spec}, EdgeRoute)


def origin_service(name: str, *, namespace: str = "shop", **container: Any) -> OriginService:
    """An OriginService with one container."""
    template = {"spec": {"containers": [{"command": ["serve"]} | container]}}
    return msgspec.convert(
        {"metadata": {"name": name, "namespace": namespace}, "spec": {"template": template}}, OriginService
    )


def ready(port: int = 9000) -> OriginObservation:
    return OriginObservation(READY, (Endpoint("127.0.0.1", port),))


def first(service: ObjectKey) -> ObjectKey:
    """The first revision of an OriginService."""
    return revision_key(service, numbered(service.name, 1))


def run(service: OriginService, number: int = 1, *, replicas: int | None = None) -> Running:
    """A revision that has the template of `service`, and as few replicas as may be."""
    key = revision_key(service.key, numbered(service.metadata.name, number))
    return Running(key, service, service.spec.scaling.min_scale if replicas is None else replicas)


def world(*objects: EdgeRoute | OriginService, **others: Any) -> World:
    """A world of these objects. What is said of an OriginService is said of its first revision."""
    for name in {"observations", "scales", "epochs"} & others.keys():
        others[name] = {first(key) if key.kind == KIND else key: one for key, one in others[name].items()}
    return World(
        routes=tuple(one for one in objects if isinstance(one, EdgeRoute)),
        origins=tuple(one for one in objects if isinstance(one, OriginService)),
        **others,
    )


def world_from(path: Path) -> World:
    """The world that a file describes: objects, and a document `World` with what is observed and refused."""
    documents = list(yaml.safe_load_all(path.read_text()))
    facts: dict[str, Any] = next((document for document in documents if document["kind"] == "World"), {})
    objects = [_converted(document) for document in documents if document["kind"] != "World"]
    return world(
        *objects,
        edge=Edge(**facts.get("edge", {})),
        observations={_key(item): _observation(item) for item in facts.get("observations", ())},
        refusals={_key(item): Refusal(_key(item), *item["refused"]) for item in facts.get("refusals", ())},
    )


def _converted(document: Mapping[str, Any]) -> EdgeRoute | OriginService:
    if document["kind"] == "EdgeRoute":
        return msgspec.convert(document, EdgeRoute)
    return msgspec.convert(document, OriginService)


def _key(item: Mapping[str, Any]) -> ObjectKey:
    return ObjectKey(*item["object"].split("/"))


def _observation(item: Mapping[str, Any]) -> OriginObservation:
    guarded = item.get("guarded", False)
    endpoints = tuple(Endpoint("127.0.0.1", port, guarded) for port in item.get("ports", ()))
    phase = OriginPhase(item.get("phase", "Ready"))
    return OriginObservation(phase, endpoints, item.get("reason", ""), item.get("message", ""))
