"""What decides about origins in a cluster: their revisions, their replicas and their sleep.

The parts know one another only here. They decide while this replica leads, from what statuses and Deployments tell
when it begins to; a replica that stands by reads everything, and what follows from it is carried out by nobody.

Trap: whoever loses the lead forgets at once. What it decided would else be taken for what runs when it leads again.
"""

import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import msgspec

from ..api import originrevision
from ..api.meta import ObjectKey
from ..api.originrevision import OriginRevision
from ..infra.kubernetes.client import Client
from ..metrics import Metrics
from ..sources.references import References
from ..sources.workloads import made_by, owner_of, revision_of
from ..translate import events
from ..translate.events import Occurrence
from ..translate.names import revision_key
from ..translate.plan import Plan
from ..translate.references import wanted
from ..translate.world import Installation
from .controller import Controller
from .knocking import Knocking
from .leading import Leading
from .observing import Observing
from .passage import Passage
from .revising import Revising
from .scaling import Scaled, Scaling
from .succession import Succession
from .waking import Waking

Object = Mapping[str, Any]
logger = logging.getLogger(__name__)


class Origins:
    """`shown` is the status of an object as an API server has it; `tell` gets what is to be told of one as an Event."""

    def __init__(
        self,
        controller: Controller,
        place: Installation,
        client: Client,
        metrics: Metrics,
        shown: Callable[[ObjectKey], Object],
        tell: Callable[[ObjectKey, Occurrence], None],
    ) -> None:
        self._store, self._place, self._tell = controller.store, place, tell
        self.waking = Waking(
            self._store,
            Passage.of(controller),
            told=self._scaled,
            wakes=lambda: self.knocking.wake(),
            woke=metrics.woken,
        )
        self.observing = Observing(self._store, self.waking.observe)
        self.knocking = Knocking(self._store, self.observing.answers)
        self.succession = Succession(self.observing, controller.caught_up, lambda: self._store.changed(urgent=True))
        self.scaling = Scaling(
            self._store,
            controller.loads,
            local=False,
            told=self._scaled,
            world=controller.world,
            rest=self.waking.rest,
        )
        self.revising = Revising(controller, local=False, shown=shown)
        self.references = References(client.versions, self._store.refer)
        self._unread: set[ObjectKey] = set()  # OriginRevisions

    def tasks(self, leading: Leading) -> tuple[tuple[str, Coroutine[Any, Any, None]], ...]:
        return (
            ("scaling", self.scaling.run(leading.leads)),
            ("waking", self.waking.run(leading.leads)),
            ("knocking", self.knocking.run(leading.leads)),
            ("succession", self.succession.run(leading.reunion)),
            ("revising", self.revising.run(leading.leads)),
            ("references", self.references.run(leading.leads)),
        )

    def gained(self) -> None:
        """This replica leads from now on."""
        self.revising.gained()
        self.waking.forget()

    def lost(self) -> None:
        """Another one decides from now on."""
        self.references.forget()
        self.scaling.forget()
        self.waking.forget()
        self.revising.lost()

    def revise(self, key: ObjectKey, raw: Object | None) -> None:
        """An OriginRevision is there as it is now, None when it is gone. One that cannot be read is left as it is, with
        what runs of it; where its replicas take requests can be read as a rule, so they go on."""
        self._unread.discard(key)
        self.observing.revise(key, self._read(key, raw) if raw and made_by(raw, self._place) else None)

    def act(self, plan: Plan) -> None:
        """`plan` is carried out."""
        self.references.want(wanted(one.service for one in plan.running))

    def spares(self, raw: Object) -> bool:
        """Whether an object of ours that is in no plan is left alone. An origin that was refused before this replica
        began is in none, for the version that serves is not known here; its objects serve on."""
        owner = owner_of(raw)
        entry = self._store.entries.get(owner) if owner else None
        if owner is None or (entry and entry.serving is None) or self.succession.spares(raw):
            return True
        return self.leaves(raw)

    def leaves(self, raw: Object) -> bool:
        """Whether an object is of a revision that cannot be read: nobody here knows what it should be."""
        key = ObjectKey(originrevision.KIND, raw["metadata"].get("namespace", ""), revision_of(raw))
        return key in self._unread

    def scaled_by_hand(self, raw: Object, before: int) -> bool:
        """Anybody may scale a revision's Deployment; its load, and its bounds, decide from there on."""
        owner, revision = owner_of(raw), revision_of(raw)
        if owner is None or not revision:
            return False
        after = raw["spec"]["replicas"]
        self.scaling.take_over(revision_key(owner, revision), after)
        self._store.changed(urgent=True)
        self._tell(owner, events.scaled_by_hand(revision, before, after))
        return True

    def _scaled(self, scaled: Scaled) -> None:
        logger.info("%s: %s", scaled.key, scaled)
        self._tell(scaled.service, events.scaled(str(scaled)))

    def _read(self, key: ObjectKey, raw: Object) -> OriginRevision | None:
        try:
            return originrevision.read(raw)
        except msgspec.ValidationError as error:
            self._unread.add(key)
            logger.error("%s cannot be read, and is left alone: %s", key, error)
        try:
            return originrevision.read_in_part(raw).value
        except msgspec.ValidationError:
            return None
