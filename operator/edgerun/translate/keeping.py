"""The version that serves in the place of one that was refused, as it is told in the status.

Whoever begins to control the proxies knows only the newest version of every object. What serves meanwhile would be lost
with the process that has seen it, if the object itself did not tell.
"""

import msgspec

from ..api.admission import Served
from ..api.meta import Kept
from ..api.problems import Refusal


def kept(serving: Served, refusal: Refusal | None) -> Kept | None:
    """`serving`, if a newer version was refused."""
    if refusal is None:
        return None
    return Kept(generation=serving.metadata.generation, spec=msgspec.to_builtins(serving.spec))
