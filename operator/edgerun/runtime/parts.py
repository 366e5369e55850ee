"""Makes the parts of a replica out of its settings. How they work together is the affair of `cluster`."""

import functools
import logging
from collections.abc import Callable, Iterator, Sequence

from ..api.meta import ObjectKey
from ..api.resources import RESOURCES
from ..api.schema import kinds
from ..credentials.rotation import Rotation, server_names
from ..errors import NotFoundError
from ..infra.kubernetes import client as kubernetes
from ..infra.kubernetes.client import Client
from ..infra.kubernetes.events import Herald
from ..infra.kubernetes.leader import Leader, Timing
from ..infra.kubernetes.reviews import Reviews
from ..infra.kubernetes.vault import SecretVault
from ..metrics import Metrics
from ..settings import ClusterSettings
from ..sources.cluster import Cluster, Pace
from ..sources.kubernetes import Watched
from ..sources.store import Feed
from ..translate.labels import EDGE_PREFIX, OURS
from ..translate.manifests import owner
from ..translate.world import Installation
from ..xds.authentication import Authenticator

WATCHED_WORKLOADS = ("Deployment", "Pod")
logger = logging.getLogger(__name__)


async def installation(client: Client, settings: ClusterSettings) -> Installation:
    """Where this operator lives. Outside of a Deployment, while developing, nothing owns what it makes."""
    key = ObjectKey("Deployment", settings.namespace, settings.name)
    try:
        uid = str((await client.get(key))["metadata"]["uid"])
    except NotFoundError:
        logger.warning("there is no %s: what this operator makes beside itself has no owner", key)
        uid = ""
    return Installation(
        namespace=settings.namespace,
        name=settings.name,
        uid=uid,
        image=settings.image,
        image_pull_policy=settings.image_pull_policy,
        image_pull_secrets=settings.image_pull_secrets,
        xds_port=settings.xds_port,
    )


def candidate(
    settings: ClusterSettings,
    place: Installation,
    client: Client,
    timing: Timing,
    *,
    gained: Callable[[], None],
    lost: Callable[[], None],
) -> Leader:
    """Who stands for this replica when it comes to leading."""
    key = ObjectKey("Lease", settings.namespace, settings.name)
    metadata, identity = owner(place), settings.pod_name
    return Leader(client, key, identity=identity, gained=gained, lost=lost, metadata=metadata, timing=timing)


def authenticator(place: Installation, client: Client, metrics: Metrics) -> Authenticator:
    """Lets the pods of our own fleets in."""
    reviews = Reviews(client)
    return Authenticator(reviews, namespace=place.namespace, prefix=EDGE_PREFIX, refused=metrics.turned_away)


def rotation(
    settings: ClusterSettings,
    place: Installation,
    client: Client,
    metrics: Metrics,
    *,
    may_write: Callable[[], bool],
    changed: Callable[[str], None],
) -> Rotation:
    """The authorities behind the xDS server's certificate."""
    (reference,) = owner(place).get("ownerReferences") or (None,)
    vault = SecretVault(client, place.namespace, f"{place.name}-ca", owner=reference)
    names = server_names(settings.xds_service, place.namespace)
    return Rotation(vault, names=names, may_write=may_write, changed=changed, rotated=metrics.rotated)


def herald(settings: ClusterSettings, client: Client, metrics: Metrics, *, may_write: Callable[[], bool]) -> Herald:
    """Writes Events."""
    return Herald(
        client.create,
        instance=settings.pod_name,
        may_write=may_write,
        outcome=metrics.told,
        meter=metrics.queue("events"),
    )


def sources(settings: ClusterSettings, client: Client, feed: Feed, pace: Pace) -> Iterator[Cluster]:
    """Of what is ours in the cluster; when some namespaces are watched only, edge pods are beside them."""
    workloads = tuple(Watched(RESOURCES[kind], label_selector=OURS) for kind in WATCHED_WORKLOADS)
    watched = (*(Watched(RESOURCES[kind]) for kind in kinds()), *workloads)
    namespaces = settings.watch_namespaces
    yield _source(settings, client, feed, pace, watched, namespaces)
    if namespaces and settings.namespace not in namespaces:
        yield _source(settings, client, feed, pace, workloads, (settings.namespace,))


def _source(
    settings: ClusterSettings,
    client: Client,
    feed: Feed,
    pace: Pace,
    watched: Sequence[Watched],
    namespaces: Sequence[str],
) -> Cluster:
    login = functools.partial(kubernetes.access, settings.kubeconfig)
    return Cluster(watched, feed, client.list_, login, namespaces=namespaces, pace=pace)
