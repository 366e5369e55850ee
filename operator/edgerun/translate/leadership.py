"""Where proxies find the replica that leads: the one endpoint of the xDS Service, which has no selector.

One write moves all of them, and a leader that was stopped without a word is out of it as soon as another one leads. The
readiness of pods has no say in it.
"""

from ..api import GROUP
from .labels import MANAGED_BY, MANAGER
from .manifests import owner
from .plan import Manifest
from .world import Installation


def xds_endpoint(place: Installation, address: str) -> Manifest:
    """The EndpointSlice by which the xDS Service leads to `address`."""
    service = f"{place.name}-xds"
    labels = {
        "kubernetes.io/service-name": service,
        "endpointslice.kubernetes.io/managed-by": f"{GROUP}-controller",
        MANAGED_BY: MANAGER,
    }
    metadata = {"name": f"{service}-leader", "namespace": place.namespace, "labels": labels, **owner(place)}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata,
        "addressType": "IPv6" if ":" in address else "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": [{"name": "xds", "port": place.xds_port, "protocol": "TCP"}],
    }
