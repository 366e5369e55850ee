"""The edges of a World: in a cluster one for each EdgeProxy, elsewhere the one that this machine runs.

A pod's Envoy listens where no privilege is needed; what clients call is the port of the Service before it.
"""

from collections.abc import Mapping

from ..api.edgeproxy import EdgeProxy
from .world import Edge, World

POD_PORT = 8080
PROBES_PORT = 9901
POD_ADDRESS = "0.0.0.0"  # noqa: S104 - the pod's network is its border


def edges(world: World) -> Mapping[str, Edge]:
    """Every edge by its name, in order."""
    if world.installation is None:
        return {world.edge.name: world.edge}
    found = (pod_edge(proxy, ca_file=world.edge.ca_file) for proxy in world.proxies)
    return {edge.name: edge for edge in sorted(found, key=lambda edge: edge.name)}


def pod_edge(proxy: EdgeProxy, *, ca_file: str) -> Edge:
    """The edge that the pods of `proxy` are; `ca_file` is a path in their image."""
    return Edge(
        name=proxy.metadata.name,
        address=POD_ADDRESS,
        port=POD_PORT,
        public_port=proxy.spec.listeners[0].port,
        probes_port=PROBES_PORT,
        ca_file=ca_file,
    )
