"""A control plane for guards alone: it lets everybody in whom the guards can know, and is an edge that they know."""

import ssl
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from envoy.config.core.v3 import extension_pb2
from envoy.config.rbac.v3 import rbac_pb2 as rules_pb2
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2

from edgerun.api.meta import ObjectKey
from edgerun.credentials.authority import advance
from edgerun.credentials.certificates import ENTROPY, new_workload_authority
from edgerun.credentials.workloads import POLICY, Workloads
from edgerun.translate.guard_policy import HYGIENE, INVOKERS, VERIFICATION
from edgerun.translate.identities import edge_id, guard_fleet, origin_id
from edgerun.translate.plan import Resource, resource
from edgerun.translate.secrets import authorities, certificate
from edgerun.xds.server import Server
from support.xds import Witness, resources

TRUST_DOMAIN = "edgerun.test"


def _open(name: str) -> Resource:
    """The policy of that name, by which everybody may call."""
    anybody = {"permissions": [{"any": True}], "principals": [{"any": True}]}
    extension = extension_pb2.TypedExtensionConfig(name=name)
    extension.typed_config.Pack(rbac_pb2.RBAC(rules=rules_pb2.RBAC(policies={"anybody": anybody})))
    return resource(name, extension)


@dataclass
class Gatehouse:
    """`entries` is what the guards have logged."""

    server: Server = field(default_factory=lambda: Server(observer=Witness()))
    entries: list[tuple[str, Any]] = field(default_factory=list)
    workloads: Workloads = field(init=False)

    def __post_init__(self) -> None:
        made = advance(
            (),
            datetime.now(UTC),
            out_for=timedelta(),
            names=(TRUST_DOMAIN,),
            new_authority=new_workload_authority,
            policy=POLICY,
            entropy=ENTROPY,
        )
        self.workloads = Workloads(lambda: made)

    def open(self, origin: ObjectKey) -> None:
        """From now on the guards of `origin` may listen."""
        shown = origin_id(TRUST_DOMAIN, origin)
        pair = self.workloads.pairs((shown,), datetime.now(UTC))[shown]
        secrets = certificate(pair.certificate, pair.key), authorities(self.workloads.bundle)
        policies = map(_open, (VERIFICATION, HYGIENE, INVOKERS))
        self.server.publish({guard_fleet(origin): resources(*policies, *secrets)})

    def edge(self) -> ssl.SSLContext:
        """As what an edge calls."""
        shown = edge_id(TRUST_DOMAIN, "default")
        pair = self.workloads.pairs((shown,), datetime.now(UTC))[shown]
        context = ssl.create_default_context(cadata=self.workloads.bundle)
        context.check_hostname = False  # there is no host in these certificates
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(pair.certificate + pair.key)
            file.flush()
            context.load_cert_chain(file.name)
        return context
