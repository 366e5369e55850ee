"""Makes the parts of a running `edgerun local` out of its settings. How they work together is the affair of `local`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from ..credentials import keyring, workloads
from ..credentials.certificates import new_workload_authority
from ..credentials.rotation import Rotation
from ..credentials.tokens import Terms
from ..credentials.vaults import MemoryVault
from ..infra.local.edge import LocalEdge
from ..infra.local.guards import Guards
from ..infra.local.instance import Instance
from ..infra.local.leash import Leash
from ..infra.local.processes import LocalOrigins, Observe
from ..settings import LocalSettings, system_ca_file
from ..translate.bootstrap import bootstrap
from ..translate.world import Edge
from .audience import Audience
from .controller import Controller
from .issuing import Issuing

EDGE_NAME = "default"
TRUST_DOMAIN = "edgerun.local"
ISSUER = f"https://{TRUST_DOMAIN}"  # nobody asks there: guards are told the keys
KEYS = replace(keyring.POLICY, propagation=timedelta())


@dataclass(frozen=True, slots=True)
class Standalone:
    """What the parts are made from that have processes."""

    settings: LocalSettings
    audience: Audience
    instance: Instance
    leash: Leash


def listener(settings: LocalSettings) -> Edge:
    """Where the edge listens, and whom it trusts."""
    ca_file = settings.ca_file or system_ca_file()
    return Edge(EDGE_NAME, settings.address, settings.port, ca_file=ca_file, reuse_port=False)


def edge(here: Standalone) -> LocalEdge:
    """The Envoy that clients talk to."""
    config = bootstrap(
        node_id=f"local-{here.instance.pid}",
        cluster=EDGE_NAME,
        xds_socket=here.instance.xds_socket,
        admin_socket=here.instance.admin_socket,
        load_reports=True,
    )
    return LocalEdge(
        here.instance,
        config,
        leash=here.leash,
        say=here.audience.output,
        access=here.audience.request,
        concurrency=here.settings.concurrency,
        drain_s=here.settings.drain_s,
    )


def origins(here: Standalone, observe: Observe, acknowledged: Callable[[], Awaitable[None]]) -> LocalOrigins:
    """The processes of origins, and their guards."""
    output, guarded = here.audience.output, here.audience.guarded
    return LocalOrigins(
        observe,
        acknowledged,
        output,
        leash=here.leash,
        guards=Guards(here.instance, here.leash, TRUST_DOMAIN, output, guarded),
        root=here.settings.directory.absolute(),
    )


def wire() -> Rotation:
    """The authorities behind the certificates of the edge and the guards. They end with this process."""
    return Rotation(
        MemoryVault(),
        title="wire",
        names=(TRUST_DOMAIN,),
        new_authority=new_workload_authority,
        may_write=lambda: True,
        policy=workloads.POLICY,
    )


def issuing(controller: Controller, keys: MemoryVault, wire: Rotation) -> Issuing:
    """Who keeps the signing keys, and hands credentials and certificates to the edge and the guards."""
    return Issuing(
        controller,
        keys,
        workloads.Workloads(lambda: wire.authorities),
        terms=Terms(issuer=ISSUER),
        trust_domain=TRUST_DOMAIN,
        policy=KEYS,
        changes=keys.changes,
    )
