"""`edgerun rollout`: how far the newest revision of an OriginService is, back from it, or all requests to it at once.

Exit codes: 0 done or ordered, 1 failed or rolled back (of `status`), 2 it cannot be. Trap: an order is fulfilled by the
operator, in its own time; what it waits for is said, and `status --watch` waits for it.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UnavailableError

if TYPE_CHECKING:
    from .rollouts import Rollouts, Seen

POLL_S = 1.0
NAMESPACE = "default"
_BACK = (
    "Take the requests back from the newest revision: the one before gets them again, and the next revision is rolled "
    "out as ever. With --to, spec.traffic is written anew, by one edit: all requests go to that revision, however old "
    "it is, and newer ones get none until you let spec.traffic lead to latestRevision again."
)
_ON = (
    "Give all requests to the revision that is being rolled out, at once; maxErrorPercent does not roll it back any "
    "more. One that was rolled back has to be named."
)
_FAR = (
    "Show the revisions of an OriginService, and how far the rollout of the newest one is. The exit code is 1 when it "
    "has failed or was rolled back."
)

Work = Callable[["Rollouts", argparse.Namespace], Awaitable[int]]


def add(commands: Any) -> None:
    """The command `rollout`."""
    command = commands.add_parser("rollout", help="follow, undo or promote the newest revision of an OriginService")
    actions = command.add_subparsers(required=True, metavar="ACTION")
    status = _action(actions, "status", _status, "the revisions, and how far the newest one is", _FAR)
    status.add_argument("-w", "--watch", action="store_true", help="follow it until it is done, or has failed")
    status.add_argument("--timeout", type=float, metavar="S", help="watch for so many seconds at most (default: ever)")
    undo = _action(actions, "undo", _undo, "take the requests back from the newest revision", _BACK)
    undo.add_argument("--to", metavar="REVISION", default="", help="lead all requests to this one, by spec.traffic")
    promote = _action(actions, "promote", _promote, "give it all requests now", _ON)
    promote.add_argument(
        "--revision", metavar="REVISION", default="", help="also when it was rolled back (default: the newest)"
    )


def _action(actions: Any, name: str, work: Work, text: str, description: str) -> Any:
    command = actions.add_parser(name, help=text, description=description)
    flag = command.add_argument
    flag("service", metavar="NAME", help="of the OriginService")
    flag("-n", "--namespace", default=NAMESPACE, help="of the OriginService (default: %(default)s)")
    flag("-d", "--directory", type=Path, metavar="DIR", help="of a running `edgerun local`, in place of a cluster")
    flag("--kubeconfig", type=Path, metavar="FILE", help="how to reach the cluster (default: as kubectl does)")
    flag("--context", default="", metavar="NAME", help="which context of the kubeconfig (default: the current one)")
    command.set_defaults(run=lambda options: asyncio.run(_opened(options, work)))
    return command


async def _opened(options: argparse.Namespace, work: Work) -> int:
    if options.directory:
        from . import local_rollouts

        return await work(local_rollouts.of(options.directory, options.namespace, options.service), options)
    from .cluster_rollouts import opened  # the client of Kubernetes takes half a second to load
    from .local_instances import without_cluster

    with without_cluster():
        async with opened(options.namespace, options.service, options.kubeconfig, options.context) as rollouts:
            return await work(rollouts, options)


async def _status(rollouts: "Rollouts", options: argparse.Namespace) -> int:
    from . import rollout_words as words

    found, now = await rollouts.seen(), datetime.now(UTC)
    print(words.overview(found, now), flush=True)
    return await _watched(rollouts, found, options.timeout) if options.watch else _code(found, now)


async def _watched(rollouts: "Rollouts", found: "Seen", within_s: float | None) -> int:
    """A line whenever something else holds it up."""
    from . import rollout_words as words

    ends = None if within_s is None else time.monotonic() + within_s
    standing = words.standing(found, datetime.now(UTC))
    while standing.stage is words.Stage.UNDER_WAY:
        if ends is not None and time.monotonic() >= ends:
            print(f"not within {within_s:g} s: {standing}", file=sys.stderr)
            return 1
        await asyncio.sleep(POLL_S if ends is None else min(POLL_S, max(0.0, ends - time.monotonic())))
        before = standing.said
        try:
            standing = words.standing(await rollouts.seen(), datetime.now(UTC))
        except UnavailableError:  # whoever is away comes back
            continue
        if standing.said != before:
            print(words.marked(standing), flush=True)
    return int(standing.stage is words.Stage.FAILED)


def _code(found: "Seen", now: datetime) -> int:
    from . import rollout_words as words

    return int(words.standing(found, now).stage is words.Stage.FAILED)


async def _undo(rollouts: "Rollouts", options: argparse.Namespace) -> int:
    from . import rollout_orders, rollout_words

    found = await rollouts.seen()
    if options.to:
        name = rollout_orders.target(found, options.to).metadata.name
        print(rollout_words.led(found, name, before=await rollouts.lead_to(name)))
        return 0
    order = rollout_orders.undoing(found)
    told = rollout_words.ordered(found, order.verb, order.revision_name)  # whether anybody can take them comes first
    await rollouts.order(order)
    print(told)
    return 0


async def _promote(rollouts: "Rollouts", options: argparse.Namespace) -> int:
    from . import rollout_orders, rollout_words

    found = await rollouts.seen()
    order = rollout_orders.promoting(found, options.revision)
    if rollout_orders.promoted(found, order.revision_name):
        print(rollout_words.has_all(found, order.revision_name))
        return 0
    await rollouts.order(order)
    print(rollout_words.ordered(found, order.verb, order.revision_name))
    return 0
