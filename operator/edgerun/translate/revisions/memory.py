"""What the status of an OriginService carries of its revisions from one look to the next, and to the next leader.

All of it is told to people, too. Whatever is lost of it is found again from the revisions that are there, but for the
highest number when the newest revision is deleted at the same time, and for where a rollout stood.
"""

from datetime import datetime

from ...api.meta import Frozen


class Target(Frozen, frozen=True):
    """One of `spec.traffic`: a revision by its name, or the latest ready one, and a tag of its own if it has one."""

    revision_name: str = ""
    latest_revision: bool | None = None
    percent: int | None = None
    tag: str = ""

    @property
    def latest(self) -> bool:
        """Whether it follows the latest ready revision: so does what names none."""
        return not self.revision_name


class Share(Frozen, frozen=True):
    """How much of all requests a revision gets."""

    revision_name: str
    percent: int


class Tagged(Frozen, frozen=True):
    """The revision that answers to a tag."""

    tag: str
    revision_name: str


class Rejected(Frozen, frozen=True):
    """A revision that was rolled back from, and why. It gets none of what is for the latest one any more."""

    revision_name: str
    message: str = ""
    at: datetime | None = None


class Rollout(Frozen, frozen=True):
    """Where the traffic of `latestRevision` is.

    `shares` are of the revisions that have some of it, the oldest first. `begun`: since when the newest of them has its
    first percent, until all proxies serve that; from then on there is a `next_step`. `goal` is the revision that was
    meant last. `previous` had the traffic before, and `settled` is when it lost the last of it.
    """

    goal: str = ""
    shares: tuple[Share, ...] = ()
    begun: datetime | None = None
    next_step: datetime | None = None
    step_seconds: float = 0.0
    step_percent: int = 0
    previous: str = ""
    settled: datetime | None = None
    rejected: tuple[Rejected, ...] = ()

    @property
    def rolling(self) -> bool:
        return len(self.shares) > 1

    @property
    def percent(self) -> int:
        """Of all requests."""
        return sum(share.percent for share in self.shares)

    def rejects(self, name: str) -> bool:
        return any(one.revision_name == name for one in self.rejected)


class Memory(Frozen, frozen=True):
    """`number` is the highest that was ever seen. `traffic` is in effect: the newest one that could be."""

    number: int = 0
    latest_created_revision_name: str = ""
    latest_ready_revision_name: str = ""
    traffic: tuple[Target, ...] = ()
    rollout: Rollout = Rollout()
