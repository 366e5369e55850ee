"""How an edge and a guard prove to each other who they are: TLS 1.3, a certificate each, and a SPIFFE ID that must fit.

Both certificates, and the authorities that vouch for them, come by SDS: a rotation touches no listener and no cluster,
and connections that are open go on.
Trap: Envoy's maximum towards servers is TLS 1.2 unless it is set.
"""

from collections.abc import Mapping
from typing import Any

from .identities import AUTHORITIES_SECRET, WORKLOAD_SECRET
from .messages import ADS, packed

_BY_ADS = ADS | {"initial_fetch_timeout": {"seconds": 0}}


def common_context(peer: Mapping[str, str]) -> Mapping[str, Any]:
    """The `common_tls_context` of one side; `peer` is the matcher of the other side's SPIFFE ID."""
    return {
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
        "tls_certificate_sds_secret_configs": [{"name": WORKLOAD_SECRET, "sds_config": _BY_ADS}],
        "combined_validation_context": {
            "default_validation_context": {"match_typed_subject_alt_names": [{"san_type": "URI", "matcher": peer}]},
            "validation_context_sds_secret_config": {"name": AUTHORITIES_SECRET, "sds_config": _BY_ADS},
        },
    }


def socket(context: Any) -> Mapping[str, Any]:
    """The transport socket with this context."""
    return {"name": "envoy.transport_sockets.tls", "typed_config": packed(context)}
