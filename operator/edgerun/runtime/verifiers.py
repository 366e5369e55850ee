"""Which keys the guards trust, as far as they have said so.

A guard acknowledges a serial, and each serial carried certain keys. What a guard said last holds for as long as it
ought to be there: without a control plane it goes on with the keys that it has.
Trap: one that ought to be there and was never heard of trusts nothing, and so no key is known to all.
"""

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from ..translate.identities import is_guard
from ..xds.server import Proxy

REMEMBERED = 100  # changes of the keys; a guard that is further behind is taken to trust nothing

Verifier = tuple[str, str]  # its fleet, and the name of its pod
Kids = frozenset[str]


@dataclass(slots=True)
class Verifiers:
    """`connected` are all proxies, `expected` the guards that take requests, whether they are connected or not."""

    connected: Callable[[], Sequence[Proxy]]
    expected: Callable[[], Collection[Verifier]]
    _sent: list[tuple[int, str, Kids]] = field(default_factory=list)  # the first serial with these keys
    _words: dict[Verifier, Kids] = field(default_factory=dict)

    def sent(self, serial: int, jwks: str) -> None:
        """From `serial` on guards are told to trust these."""
        if not self._sent or self._sent[-1][1] != jwks:
            self._sent = [*self._sent[1 - REMEMBERED :], (serial, jwks, kids(jwks))]

    def heard(self, proxy: Proxy) -> None:
        if is_guard(proxy.fleet):
            found = (trusted for first, _, trusted in reversed(self._sent) if first <= proxy.acked_serial)
            self._words[proxy.fleet, proxy.id] = next(found, frozenset())

    def forget(self) -> None:
        """Whatever they have said was said to another control plane since."""
        self._words.clear()

    def trusting(self) -> dict[Verifier, Kids]:
        """The keys that each of them is known to trust."""
        here = {(proxy.fleet, proxy.id) for proxy in self.connected() if is_guard(proxy.fleet)}
        here |= set(self.expected())
        self._words = {one: self._words[one] for one in self._words.keys() & here}
        nothing: Kids = frozenset()
        return {one: self._words.get(one, nothing) for one in sorted(here)}


def kids(jwks: str) -> Kids:
    return frozenset(str(key["kid"]) for key in json.loads(jwks)["keys"])
