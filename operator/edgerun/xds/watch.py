"""What one client wants, has, and still has to be told of one type. No order between types here: that is the session's.

A watch works towards one `goal` at a time, and keeps it until all of it is sent and answered: so a stream of ever
newer snapshots cannot keep it from finishing, and what lies between two goals is never sent. One response is in flight
at most; an answer that does not come lapses after GATE_S and then holds nothing back.
Trap: `_known` is what the client was sent, not what it took. Only names that are not `_awaited` are confirmed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .nacks import Nack, accused, trimmed
from .refusals import Refusals
from .snapshot import Framed, FramedSet, Response, Snapshot

GATE_S = 2.0  # Envoy's CDS ACK takes milliseconds when endpoints are there; one that warms for ever must not stop all
CHUNK_RESOURCES = 500
CHUNK_BYTES = 1_000_000  # Envoy asks for no endpoints while it works on a CDS response: keep each one short
ALL = "*"
_ABSENT = ""  # the client was told that there is none
_UNKNOWN = "?"  # the client may have it, in whatever version


@dataclass(frozen=True, slots=True)
class _Flight:
    response: Response
    lapses_at: float


class Watch:
    """`finished` is the newest goal of which nothing is left to wait for; `acked_serial` that of the newest one
    that was also taken whole."""

    def __init__(self, type_url: str) -> None:
        self.type_url = type_url
        self.wildcard = False
        self.names: dict[str, None] = {}
        self.goal: Snapshot | None = None
        self.finished: Snapshot | None = None
        self.acked_serial = 0
        self._flight: _Flight | None = None
        self._lapsed: dict[str, Response] = {}
        self._known: dict[str, str] = {}
        self._awaited: dict[str, str] = {}  # name -> nonce of the response that brought it last
        self._due: dict[str, None] = {}
        self._leaving: set[str] = set()
        self._asked: dict[str, None] = {}  # names that get an answer even when there is nothing to send
        self._greeting = False
        self._refusals = Refusals()

    # What the client says

    def begin(self, subscribe: Iterable[str], held: Mapping[str, str]) -> None:
        """The first request on this stream. `held` is what the client still has from an earlier one."""
        for name in subscribe or (ALL,):
            self.join(name)
        for name, version in held.items():
            if self.covers(name):
                self._known[name] = version or _UNKNOWN
                self._asked.pop(name, None)

    def join(self, name: str) -> None:
        """Subscribe. A name that is subscribed already is sent again: the client may have forgotten it."""
        if name != ALL:
            self.names[name] = None
            self.renew(name)
        elif not self.wildcard:
            self.wildcard = self._greeting = True
            self._survey()

    def leave(self, name: str) -> None:
        """Unsubscribe. What a wildcard still covers is answered once more, everything else forgotten."""
        if name == ALL:
            self.wildcard = False
            for other in [*self._known, *self._due, *self._asked]:
                if other not in self.names:
                    self._forget(other)
        elif name in self.names:
            del self.names[name]
            if self.wildcard:
                self.renew(name)
            else:
                self._forget(name)

    def renew(self, name: str) -> None:
        """Have `name` sent again, or said again that there is none."""
        self._forget(name)
        self._asked[name] = None
        if self._owed(name):
            self._due[name] = None

    def covers(self, name: str) -> bool:
        return self.wildcard or name in self.names

    def ack(self, nonce: str) -> None:
        """A nonce of another stream, or one whose resources have all been sent anew since, changes nothing."""
        self._refusals.taken(self._landed(nonce))

    def nack(self, nonce: str, text: str, now: float) -> Nack | None:
        """The client keeps what it had. The guilty are not sent again as they are; the innocent are, without them."""
        response = self._response(nonce)
        if response is None:
            return None
        names = self._landed(nonce)
        told = tuple(response.versions)
        bad = accused(told, text) or (told if len(told) == 1 else ())
        guilty = tuple(name for name in bad if name in names)  # others are gone, or have been sent anew
        self._known.update(dict.fromkeys(names, _UNKNOWN))
        if guilty:
            versions = {name: response.versions[name] for name in guilty}
            self._refusals.blame(versions, self._wanted(), now + GATE_S)
        elif not bad:
            self._refusals.suspect(names, nonce)
        self._due.update({name: None for name in names if self._owed(name)})
        return Nack(self.type_url, guilty, trimmed(text), response.serial)

    # What time and the session decide

    def aim(self, goal: Snapshot) -> None:
        """Work towards `goal` from now on."""
        before, self.goal = self.goal, goal
        if before is None or before.of(self.type_url) is not goal.of(self.type_url):
            self._survey()

    def lapse(self, now: float) -> None:
        """Stop waiting for answers that are overdue. One that comes all the same still counts as one."""
        self._refusals.lapse(now)
        if self._flight and now >= self._flight.lapses_at:
            self._lapsed[self._flight.response.nonce] = self._flight.response
            self._flight = None
            awaited = set(self._awaited.values())
            self._lapsed = {nonce: response for nonce, response in self._lapsed.items() if nonce in awaited}

    def conclude(self) -> None:
        """Take note of what has been reached."""
        if self.goal is None or not self.idle:
            return
        if not self._refusals.fresh:
            self.finished = self.goal
        if not self._refusals and not any(name in self._wanted() for name in self._awaited):
            self.acked_serial = self.goal.serial

    def deadline(self) -> float | None:
        flight = self._flight.lapses_at if self._flight else None
        return min((at for at in (flight, self._refusals.deadline()) if at is not None), default=None)

    @property
    def busy(self) -> bool:
        """A response is in flight."""
        return self._flight is not None

    @property
    def idle(self) -> bool:
        """Every update of the goal is sent and answered, or its answer is overdue."""
        return not self._due and not (self._flight and self._flight.response.versions)

    @property
    def talkative(self) -> bool:
        """There is something to send that need not wait for another type."""
        return bool(self._due or self._greeting)

    @property
    def removing(self) -> bool:
        return bool(self._flight and self._flight.response.removed)

    @property
    def outdated(self) -> bool:
        """The client runs an older version of something than the one it refused."""
        return self._refusals.outdated(self._wanted())

    def missing(self, live: Iterable[Snapshot]) -> tuple[str, ...]:
        """Names that were asked for, and that no snapshot in use knows."""
        sets = [one.of(self.type_url) for one in live]
        return tuple(name for name in self._asked if not any(name in exists for exists in sets))

    def lent(self, live: Iterable[Snapshot]) -> Mapping[str, Framed]:
        """What was asked for and is not in the goal: gone from it while a type is still at an older one, or newer."""
        if not self._asked:
            return {}
        wanted, sets = self._wanted(), [one.of(self.type_url) for one in sorted(live, key=Snapshot.age)]
        return {name: here[name] for here in sets for name in self._asked if name in here and name not in wanted}

    def lacks(self, name: str) -> bool:
        """Whether the client should have it and has not been sent any version of it."""
        return self.covers(name) and self._known.get(name, _ABSENT) == _ABSENT

    def departures(self, live: Iterable[Snapshot]) -> tuple[str, ...]:
        """What the client has and no snapshot in use knows."""
        sets = [one.of(self.type_url) for one in live]
        return tuple(sorted(name for name in self._leaving if not any(name in exists for exists in sets)))

    def unconfirmed(self) -> tuple[Framed, ...]:
        """What was sent of the goal and not taken so far."""
        wanted = self._wanted()
        return tuple(wanted[name] for name in self._awaited if name in wanted)

    # What goes out

    def updates(
        self, goal: Snapshot, lent: Mapping[str, Framed], nonce: str, now: float
    ) -> tuple[Response, tuple[Framed, ...]]:
        """The next chunk of what is due, or the empty answer to a wildcard that matches nothing new."""
        batch = {**lent, **self._batch()}
        self._leaving.update(lent)
        response = self._sent(self._packed(batch, nonce, goal.serial), now)
        return response, tuple(batch.values())

    def aside(self, urgent: Mapping[str, Framed], nonce: str, serial: int) -> Response:
        """A response beside the one in flight, for whose answer nothing waits."""
        self._lapsed[nonce] = self._packed(urgent, nonce, serial)
        return self._lapsed[nonce]

    def removals(self, names: tuple[str, ...], nonce: str, serial: int, now: float) -> Response:
        """Say that there are no such resources. Interest in those subscribed by name is remembered."""
        for name in names:
            self._forget(name)
            if name in self.names:
                self._known[name] = _ABSENT
        return self._sent(Response(self.type_url, nonce, serial, {}, removed=names), now)

    def _sent(self, response: Response, now: float) -> Response:
        self._flight = _Flight(response, now + GATE_S)
        self._greeting = False
        return response

    def _packed(self, batch: Mapping[str, Framed], nonce: str, serial: int) -> Response:
        for name, framed in batch.items():
            self._due.pop(name, None)
            self._asked.pop(name, None)
            self._known[name] = framed.version
            self._awaited[name] = nonce
        versions = {name: framed.version for name, framed in batch.items()}
        return Response(self.type_url, nonce, serial, versions, tuple(framed.frame for framed in batch.values()))

    def _batch(self) -> Mapping[str, Framed]:
        wanted, batch, size = self._wanted(), dict[str, Framed](), 0
        half = self._refusals.half(next(iter(self._due), ""))
        for name in self._due:
            if self._refusals.half(name) != half:
                continue
            size += len(wanted[name].frame)
            if batch and (size > CHUNK_BYTES or len(batch) == CHUNK_RESOURCES):
                break
            batch[name] = wanted[name]
        return batch

    def _response(self, nonce: str) -> Response | None:
        if self._flight and self._flight.response.nonce == nonce:
            return self._flight.response
        return self._lapsed.get(nonce)

    def _landed(self, nonce: str) -> tuple[str, ...]:
        """End the wait for `nonce`: the names whose latest version it brought."""
        response = self._response(nonce)
        if response is None:
            return ()
        if self._lapsed.pop(nonce, None) is None:
            self._flight = None
        names = tuple(name for name in response.versions if self._awaited.get(name) == nonce)
        for name in names:
            del self._awaited[name]
        return names

    def _wanted(self) -> FramedSet:
        return self.goal.of(self.type_url) if self.goal else {}

    def _owed(self, name: str) -> bool:
        framed = self._wanted().get(name)
        if framed is None or not self.covers(name) or self._known.get(name) == framed.version:
            return False
        return not self._refusals.bar(name, framed.version)

    def _survey(self) -> None:
        """Compare what the client has with the whole goal."""
        wanted, known = self._wanted(), self._known
        self._refusals.keep(wanted)
        here = wanted.items() if self.wildcard else [(name, wanted[name]) for name in self.names if name in wanted]
        other = [name for name, framed in here if known.get(name) != framed.version]
        self._due = {name: None for name in other if self._owed(name)}
        self._leaving = {name for name in known.keys() - wanted.keys() if known[name] != _ABSENT}

    def _forget(self, name: str) -> None:
        for memory in (self._known, self._awaited, self._due, self._asked):
            memory.pop(name, None)
        self._leaving.discard(name)
        self._refusals.forget(name)
