"""What travels by SDS: credentials, certificates, and the authorities that know them. The only resources that are not
in a Plan: whoever has the secrets adds them to what a fleet is sent.

Trap: Envoy takes a secret's text as it is, and a line break in a credential ends in a 503 for every request.
"""

from envoy.extensions.transport_sockets.tls.v3 import secret_pb2

from .identities import AUTHORITIES_SECRET, WORKLOAD_SECRET, Claim, credential_secret
from .plan import Resource, resource


def credential(claim: Claim, token: str) -> Resource:
    """The whole value of the header: no filter of this version can put the scheme before it."""
    name = credential_secret(claim)
    value = {"inline_string": f"Bearer {token}"}
    return resource(name, secret_pb2.Secret(name=name, generic_secret={"secret": value}))


def certificate(chain: str, key: str) -> Resource:
    """The certificate of a proxy with its private key, both PEM."""
    pair = {"certificate_chain": {"inline_string": chain}, "private_key": {"inline_string": key}}
    return resource(WORKLOAD_SECRET, secret_pb2.Secret(name=WORKLOAD_SECRET, tls_certificate=pair))


def authorities(bundle: str) -> Resource:
    """The certificates (PEM) of those who may sign such certificates. Whom it is enough for, the listener or cluster
    that refers to it says."""
    trusted = {"trusted_ca": {"inline_string": bundle}}
    return resource(AUTHORITIES_SECRET, secret_pb2.Secret(name=AUTHORITIES_SECRET, validation_context=trusted))
