"""How an edge pod reaches the control plane: the xDS Service over TLS, and the token by which the pod is known.

The pod trusts the operator's own authorities and takes the certificate of the Service alone. It shows the projected
token of its ServiceAccount with every stream. Envoy watches all of these files: no rotation needs a restart.

Trap: Envoy notices a file that is renamed into its place, and the link that Kubernetes swaps. One that is written where
it lies goes unnoticed.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

CONFIG_FOLDER = PurePosixPath("/etc/edgerun")  # where the ConfigMap of the fleet is mounted
TOKEN_FILE = PurePosixPath("/var/run/secrets/edgerun/token")
AUDIENCE = "edgerun-xds"
CA_CERTIFICATES = "ca.crt"
_CA_SECRET, _CA_SDS = "ca", "ca.json"
_TOKEN_SECRET, _TOKEN_SDS = "token", "token.json"
_TYPE = "type.googleapis.com/envoy.extensions."
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


@dataclass(frozen=True, slots=True)
class Channel:
    """Where the xDS Service is. `server_name` is what its certificate must say, `host` unless that is an address."""

    host: str
    port: int
    server_name: str = ""


def sds_files(
    *, config_folder: PurePosixPath = CONFIG_FOLDER, token_file: PurePosixPath = TOKEN_FILE
) -> Mapping[str, str]:
    """What must lie in `config_folder` beside `ca.crt`, the authorities to trust: name -> text."""
    watched = {"path": str(config_folder)}
    trust = {"trusted_ca": {"filename": str(config_folder / CA_CERTIFICATES)}, "watched_directory": watched}
    token = {"filename": str(token_file), "watched_directory": {"path": str(token_file.parent)}}
    return {
        _CA_SDS: _secret(_CA_SECRET, validation_context=trust),
        _TOKEN_SDS: _secret(_TOKEN_SECRET, generic_secret={"secret": token}),
    }


def xds_service_cluster(name: str, channel: Channel, config_folder: PurePosixPath) -> dict[str, Any]:
    """The cluster of the control plane.

    Its one address is that of a Service: what Envoy does not hear from within a few seconds has stopped leading, and a
    new connection finds the one who leads now. A connection that works is not cut because a name resolves anew.
    """
    address = {"socket_address": {"address": channel.host, "port_value": channel.port}}
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
    return {
        "name": name,
        "cluster_type": {"name": "envoy.clusters.dns", "typed_config": _one_address()},
        "connect_timeout": "5s",
        "load_assignment": {"cluster_name": name, "endpoints": endpoints},
        "transport_socket": _tls(channel.server_name or channel.host, config_folder),
        "typed_extension_protocol_options": {_HTTP_OPTIONS: _http_options(config_folder)},
    }


def _one_address() -> dict[str, Any]:
    return {
        "@type": _TYPE + "clusters.dns.v3.DnsCluster",
        "all_addresses_in_single_endpoint": True,
        "dns_lookup_family": "V4_PREFERRED",
        "dns_failure_refresh_rate": {"base_interval": "0.5s", "max_interval": "5s"},
    }


def _tls(server_name: str, config_folder: PurePosixPath) -> dict[str, Any]:
    only = {"san_type": "DNS", "matcher": {"exact": server_name}}
    context = {
        # Without a maximum it is 1.2 towards servers.
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
        "alpn_protocols": ["h2"],
        "combined_validation_context": {
            "default_validation_context": {"match_typed_subject_alt_names": [only]},
            "validation_context_sds_secret_config": _sds(_CA_SECRET, _CA_SDS, config_folder),
        },
    }
    tls = {
        "@type": _TYPE + "transport_sockets.tls.v3.UpstreamTlsContext",
        "sni": server_name,
        "common_tls_context": context,
    }
    return {"name": "envoy.transport_sockets.tls", "typed_config": tls}


def _http_options(config_folder: PurePosixPath) -> dict[str, Any]:
    keepalive = {"interval": "10s", "timeout": "5s"}
    return {
        "@type": _TYPE + "upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {"connection_keepalive": keepalive}},
        "http_filters": [_token_filter(config_folder), _codec_filter()],
    }


def _token_filter(config_folder: PurePosixPath) -> dict[str, Any]:
    generic = {
        "@type": _TYPE + "http.injected_credentials.generic.v3.Generic",
        "credential": _sds(_TOKEN_SECRET, _TOKEN_SDS, config_folder),
        "header": "authorization",
        "header_value_prefix": "Bearer ",
    }
    injector = {
        "@type": _TYPE + "filters.http.credential_injector.v3.CredentialInjector",
        "overwrite": True,
        "credential": {"name": "envoy.http.injected_credentials.generic", "typed_config": generic},
    }
    return {"name": "envoy.filters.http.credential_injector", "typed_config": injector}


def _codec_filter() -> dict[str, Any]:
    codec = {"@type": _TYPE + "filters.http.upstream_codec.v3.UpstreamCodec"}
    return {"name": "envoy.filters.http.upstream_codec", "typed_config": codec}


def _sds(secret: str, file: str, config_folder: PurePosixPath) -> dict[str, Any]:
    source = {"path": str(config_folder / file), "watched_directory": {"path": str(config_folder)}}
    return {"name": secret, "sds_config": {"path_config_source": source, "resource_api_version": "V3"}}


def _secret(name: str, **content: Any) -> str:
    secret = {"@type": _TYPE + "transport_sockets.tls.v3.Secret", "name": name, **content}
    return json.dumps({"resources": [secret]}, indent=2) + "\n"
