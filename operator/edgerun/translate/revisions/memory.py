"""What the status of an OriginService carries of its revisions from one look to the next, and to the next leader.

All of it is told to people, too. Whatever is lost of it is found again from the revisions that are there, but for the
highest number when the newest revision is deleted at the same time, and for where a rollout stood. What another version
wrote, so that a part of it cannot be read, is the business of `recalling`.
"""

from ...api.meta import Frozen
from ...api.originservice import OriginServiceStatus, Rollout, TrafficTarget


class Tagged(Frozen, frozen=True):
    """The revision that answers to a tag."""

    tag: str
    revision_name: str


class Memory(Frozen, frozen=True):
    """`number` is the highest that was ever seen. `traffic` is in effect: the newest one that could be."""

    number: int = 0
    latest_created_revision_name: str = ""
    latest_ready_revision_name: str = ""
    traffic: tuple[TrafficTarget, ...] = ()
    rollout: Rollout = Rollout()


def remembered(status: OriginServiceStatus) -> Memory:
    """What a status carries."""
    return Memory(
        number=status.revision_number,
        latest_created_revision_name=status.latest_created_revision_name,
        latest_ready_revision_name=status.latest_ready_revision_name,
        traffic=status.applied_traffic,
        rollout=status.rollout or Rollout(),
    )
