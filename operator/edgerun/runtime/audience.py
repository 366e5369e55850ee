"""Who hears what happens in a running `edgerun local`."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ..api.meta import ObjectKey
from ..sources.documents import FileProblem
from .board import Status


class Audience(Protocol):
    """Who is told what happens while it happens: the terminal. Nothing here may wait."""

    def output(self, name: str, line: str) -> None:
        """A revision, or Envoy, printed a line; `name` is its own."""

    def request(self, entry: Mapping[str, Any]) -> None:
        """The edge answered a request; `entry` is its access log entry."""

    def guarded(self, name: str, entry: Mapping[str, Any]) -> None:
        """A guard of the revision `name` let a request through, or did not; `entry` is its half of the log."""

    def status(self, key: ObjectKey, status: Status | None) -> None:
        """The status of an object changed; None when the object is gone."""

    def problems(self, problems: Sequence[FileProblem]) -> None:
        """What is wrong with files as such changed."""
