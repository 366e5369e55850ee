"""Edits as `kubectl edit` makes them: read, changed, and written if nobody has written meanwhile, else again.

The operator writes a status whenever it has something to say, so an edit that is made once fails now and then.
"""

from collections.abc import Callable
from typing import Any

from edgerun.api.meta import ObjectKey
from edgerun.errors import ConflictError
from edgerun.infra.kubernetes.client import Client
from support.poll import eventually


async def edited(client: Client, key: ObjectKey, change: Callable[[dict[str, Any]], Any]) -> None:
    """`change` makes another object of the one that there is."""

    async def done() -> bool:
        found = dict(await client.get(key))
        change(found)
        try:
            await client.replace(found)
        except ConflictError:
            return False
        return True

    await eventually(done, what=f"an edit of {key}")


async def respecified(client: Client, key: ObjectKey, **spec: Any) -> None:
    """The object with these parts of its spec."""
    await edited(client, key, lambda found: found["spec"].update(spec))
