"""What issuing costs the control plane: tokens by the second, and the certificates of many guards at once.

As the control plane does it: a wallet of which all is due, and certificates of which there is none. The control is what
the signature of such a token takes alone. Times are CPU time of this process, the best and the median of some rounds.
Trap: that is issuing, not handing out; what publishing takes is `rotation`'s.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from statistics import median
from typing import Any

from edgerun.api.meta import ObjectKey
from edgerun.credentials import workloads
from edgerun.credentials.authority import Authorities
from edgerun.credentials.certificates import new_workload_authority
from edgerun.credentials.keyring import POLICY, UNKNOWN, advance
from edgerun.credentials.keys import KeySet, new_private, opened, signed
from edgerun.credentials.rotation import Rotation
from edgerun.credentials.tokens import Terms, Wallet
from edgerun.credentials.vaults import MemoryVault
from edgerun.credentials.workloads import Workloads
from edgerun.translate.identities import Claim, origin_id, subject

TOKENS, CERTIFICATES, ROUNDS = 1000, 500, 9
TRUST_DOMAIN = "bench.test"


def measured() -> dict[str, Any]:
    now = datetime.now(UTC)
    key = advance(KeySet(), now, UNKNOWN, POLICY, new_key=new_private).signing
    assert key
    terms, private, authorities = Terms(issuer="https://bench.test"), opened(key), asyncio.run(some_authorities())
    claims = [Claim(subject(f"team-{number}", "default"), identity(number)) for number in range(TOKENS)]
    message = Wallet().renewed(claims[:1], now, key, terms).tokens[claims[0]].value.rpartition(".")[0].encode()
    identities = [identity(number) for number in range(CERTIFICATES)]
    return {
        "tokens": TOKENS,
        "tokens_s": cpu_s(lambda: Wallet().renewed(claims, now, key, terms)),
        "signatures_s": cpu_s(lambda: [signed(private, message) for _ in claims]),
        "certificates": CERTIFICATES,
        "certificates_s": cpu_s(lambda: Workloads(lambda: authorities).pairs(identities, now)),
    }


def identity(number: int) -> str:
    return origin_id(TRUST_DOMAIN, ObjectKey("OriginService", f"team-{number}", "cart"))


async def some_authorities() -> Authorities:
    wire = Rotation(
        MemoryVault(),
        title="wire",
        names=(TRUST_DOMAIN,),
        new_authority=new_workload_authority,
        may_write=lambda: True,
        policy=workloads.POLICY,
    )
    await wire.tend()
    return wire.authorities


def cpu_s(work: Callable[[], object]) -> dict[str, float]:
    times = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return {"best": min(times), "median": median(times)}
