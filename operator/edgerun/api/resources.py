"""Where the API server keeps each kind that the control plane reads or writes: group, version and plural.

A table instead of discovery: the chart grants these kinds and no others, so there is nothing to discover.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from . import GROUP, VERSION, edgeproxy, edgeroute, originrevision, originservice


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind as REST has it. `group` is "" for the core of Kubernetes."""

    kind: str
    group: str
    version: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "", *, subresource: str = "") -> str:
        """The path of an object, or of the collection when there is no name; of all namespaces without one."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        where = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return root + where + "".join(f"/{part}" for part in (self.plural, name, subresource) if part)


_ALL = (
    Resource(edgeproxy.KIND, GROUP, VERSION, "edgeproxies", namespaced=False),
    Resource(edgeroute.KIND, GROUP, VERSION, "edgeroutes"),
    Resource(originrevision.KIND, GROUP, VERSION, "originrevisions"),
    Resource(originservice.KIND, GROUP, VERSION, "originservices"),
    Resource("ConfigMap", "", "v1", "configmaps"),
    Resource("CustomResourceDefinition", "apiextensions.k8s.io", "v1", "customresourcedefinitions", namespaced=False),
    Resource("Deployment", "apps", "v1", "deployments"),
    Resource("EndpointSlice", "discovery.k8s.io", "v1", "endpointslices"),
    Resource("Event", "events.k8s.io", "v1", "events"),
    Resource("HorizontalPodAutoscaler", "autoscaling", "v2", "horizontalpodautoscalers"),
    Resource("Lease", "coordination.k8s.io", "v1", "leases"),
    Resource("Namespace", "", "v1", "namespaces", namespaced=False),
    Resource("NetworkPolicy", "networking.k8s.io", "v1", "networkpolicies"),
    Resource("Pod", "", "v1", "pods"),
    Resource("PodDisruptionBudget", "policy", "v1", "poddisruptionbudgets"),
    Resource("Secret", "", "v1", "secrets"),
    Resource("Service", "", "v1", "services"),
    Resource("ServiceAccount", "", "v1", "serviceaccounts"),
    Resource("TokenReview", "authentication.k8s.io", "v1", "tokenreviews", namespaced=False),
)
RESOURCES: Mapping[str, Resource] = {resource.kind: resource for resource in _ALL}
