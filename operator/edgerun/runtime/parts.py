"""Makes the parts of a replica out of its settings. How they work together is the affair of `cluster`."""

import functools
import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from ..api import originrevision
from ..api.meta import ObjectKey
from ..api.resources import RESOURCES
from ..api.schema import kinds
from ..credentials import workloads
from ..credentials.authority import Authorities, Leaf
from ..credentials.certificates import new_workload_authority
from ..credentials.keyring import Policy
from ..credentials.rotation import Rotation
from ..credentials.serving import Serving, server_credentials, server_names
from ..credentials.tokens import Terms
from ..errors import NotFoundError
from ..infra.kubernetes import client as kubernetes
from ..infra.kubernetes.client import Client
from ..infra.kubernetes.events import Herald
from ..infra.kubernetes.leader import Leader, Timing
from ..infra.kubernetes.reviews import Reviews
from ..infra.kubernetes.statuses import StatusWriter
from ..infra.kubernetes.vault import SecretVault
from ..metrics import Metrics
from ..settings import ClusterSettings
from ..sources.cluster import Cluster, Pace
from ..sources.kubernetes import Watched
from ..sources.store import Feed
from ..translate.labels import EDGE_PREFIX, OURS
from ..translate.manifests import owner
from ..translate.plan import Plan
from ..translate.world import Edge, Installation
from ..xds.authentication import Authenticator, Guards
from .board import Status
from .controller import Controller
from .envoy import refusal
from .issuing import Issuing
from .leading import Leading
from .telling import Telling
from .verifiers import Verifier

OBSERVED = ("Deployment", "Pod")  # they say how an origin or a fleet fares
BESIDE = ("ConfigMap", *OBSERVED)  # what is made in the operator's own namespace and watched
WATCHED_WORKLOADS = (*BESIDE, "NetworkPolicy", originrevision.KIND)
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


@dataclass(frozen=True, slots=True)
class Replica:
    """What most parts are made from."""

    settings: ClusterSettings
    place: Installation
    client: Client
    metrics: Metrics
    may_write: Callable[[], bool]
    clock: Callable[[], datetime]


def telling(here: Replica, *, may_promise: Callable[[], bool]) -> Telling:
    """Writes statuses and Events."""
    statuses = StatusWriter(here.client, may_promise, here.metrics.status_written)
    herald = Herald(
        here.client.create,
        instance=here.settings.pod_name,
        may_write=may_promise,
        outcome=here.metrics.told,
        meter=here.metrics.queue("events"),
    )
    return Telling(statuses, herald, may_promise)


def controller(
    here: Replica,
    *,
    act: Callable[[Plan], None],
    tell: Callable[[tuple[ObjectKey, ...]], None],
    before: Callable[[ObjectKey], Status | None],
    guards: Guards,
) -> Controller:
    """Its xDS server lets the pods of our own fleets in, and the guards in the pods of origins."""
    authenticator = Authenticator(
        Reviews(here.client),
        namespace=here.place.namespace,
        prefix=EDGE_PREFIX,
        guards=guards,
        refused=here.metrics.turned_away,
    )
    return Controller(
        Edge(ca_file=here.settings.ca_file),
        act,
        tell,
        refusal,
        before=before,
        trusts_status=True,
        authenticate=authenticator,
        rebuilding=here.metrics.rebuilding,
        traffic=here.metrics,
    )


def rotation(here: Replica, *, changed: Callable[[str], None]) -> Serving:
    """The xDS server's certificate, and the authorities behind it."""
    return Serving(
        secret(here, "ca"),
        names=server_names(here.settings.xds_service, here.place.namespace),
        may_write=here.may_write,
        changed=changed,
        rotated=here.metrics.rotated,
        clock=here.clock,
    )


def leading(here: Replica, controller: Controller, certificate: Callable[[], Leaf]) -> Leading:
    """Who serves proxies while this replica leads."""
    port, credentials = here.settings.xds_port, functools.partial(server_credentials, certificate)
    return Leading(controller.server, port, credentials, controller.crew_complete)


def wire(here: Replica, *, changed: Callable[[], None]) -> Rotation:
    """The authorities behind the certificates of edges and guards."""
    return Rotation(
        secret(here, "wire"),
        title="wire",
        names=(here.settings.trust_domain,),
        new_authority=new_workload_authority,
        may_write=here.may_write,
        changed=lambda _: changed(),
        rotated=here.metrics.rotated,
        policy=workloads.POLICY,
        clock=here.clock,
    )


def issuing(
    here: Replica,
    controller: Controller,
    authorities: Callable[[], Authorities],
    *,
    reunited: Callable[[], bool],
    expected: Callable[[], Collection[Verifier]],
) -> Issuing:
    """Who keeps the signing keys, and hands credentials and certificates to proxies."""
    settings, vault = here.settings, secret(here, "keys")
    return Issuing(
        controller,
        vault,
        workloads.Workloads(authorities),
        terms=Terms(issuer=settings.issuer, life=settings.token_life, renewed_at=settings.token_renewal),
        trust_domain=settings.trust_domain,
        policy=Policy(interval=settings.key_interval, overlap=settings.key_overlap),
        may_write=here.may_write,
        reunited=reunited,
        expected=expected,
        changes=vault.changes,
        minted=here.metrics.minted,
        told=here.metrics.key_changed,
        clock=here.clock,
    )


def secret(here: Replica, name: str) -> SecretVault:
    """One of the operator's own."""
    place = here.place
    (reference,) = owner(place).get("ownerReferences") or (None,)
    return SecretVault(here.client, place.namespace, f"{place.name}-{name}", owner=reference)


def sources(settings: ClusterSettings, client: Client, feed: Feed, pace: Pace) -> Iterator[Cluster]:
    """Of what is ours in the cluster; when some namespaces are watched only, edge pods are beside them."""
    watched = (*(Watched(RESOURCES[kind]) for kind in kinds()), *_ours(WATCHED_WORKLOADS))
    namespaces = settings.watch_namespaces
    yield _source(settings, client, feed, pace, watched, namespaces)
    if namespaces and settings.namespace not in namespaces:
        yield _source(settings, client, feed, pace, _ours(BESIDE), (settings.namespace,))


def _ours(names: Sequence[str]) -> tuple[Watched, ...]:
    """What somebody deletes or changes of these is put right at once: a NetworkPolicy that is gone is an open door."""
    return tuple(Watched(RESOURCES[kind], label_selector=OURS) for kind in names)


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
