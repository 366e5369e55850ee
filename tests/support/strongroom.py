"""What the operator keeps in Secrets, and what somebody who can read these could make of it.

A test can: it has the whole cluster. So it knows what nobody else may see, and can call in the name of others.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from edgerun.credentials import authority
from edgerun.credentials.certificates import ENTROPY, Pair, new_workload
from edgerun.credentials.keys import Key, KeySet, decoded
from edgerun.credentials.tokens import Terms, mint
from edgerun.translate.identities import Claim
from support.release import NAME, NAMESPACE, Release

TRUST_DOMAIN = "cluster.local"
TERMS = Terms(issuer=f"https://{NAME}.{NAMESPACE}.svc")


@dataclass(frozen=True, slots=True)
class Strongroom:
    release: Release

    def keys(self) -> KeySet:
        """Those that sign tokens."""
        return decoded(self._secret("keys"))

    def signing(self) -> Key:
        found = self.keys().signing
        assert found, "no key signs"
        return found

    def certificate(self, spiffe_id: str) -> Pair:
        """As the operator issues it."""
        now = datetime.now(UTC)
        by = authority.signer(authority.decoded(self._secret("wire")), now)
        assert by, "no authority signs"
        times = now - timedelta(minutes=5), now + timedelta(hours=1)
        return new_workload(spiffe_id, *times, Pair(by.certificate, by.key), ENTROPY)

    def private_keys(self) -> Iterator[str]:
        """PEM, of all that is there."""
        for name in ("ca", "wire"):
            yield from (one.key for one in authority.decoded(self._secret(name)))
        yield from (one.private for one in self.keys().keys if one.private)

    def _secret(self, name: str) -> Mapping[str, bytes]:
        found = json.loads(self.release.kubectl("get", "secret", f"{NAME}-{name}", "--output=json"))
        return {key: base64.b64decode(value) for key, value in found["data"].items()}


def token(key: Key, subject: str, audience: str) -> str:
    """As the operator issues it."""
    return mint(Claim(subject, audience), datetime.now(UTC), key, TERMS, jti=str(uuid4())).value
