"""`edgerun keys`: which keys sign the edge's tokens, and how another one comes to do so.

Nothing here shows a private half. Trap: a kid is base64url, and one in sixty-four begins with a dash.
"""

import argparse
import asyncio
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import SettingsError, UnavailableError

if TYPE_CHECKING:
    from .keychain import Keychain

NAMESPACE, NAME = "edgerun-system", "edgerun"
POLL_S = 1.0
_KID = re.compile(r"-[A-Za-z0-9_-]{42}\Z")


def add(commands: Any) -> None:
    """The command `keys`."""
    command = commands.add_parser("keys", help="list, rotate or revoke the keys that sign the edge's tokens")
    actions = command.add_subparsers(required=True, metavar="ACTION")
    listed = _action(actions, "list", _list, "which keys there are, which one signs, and when the next one will")
    listed.add_argument("-o", "--output", choices=("table", "json"), default="table")
    rotated = _action(actions, "rotate", _rotate, "have the next key sign as soon as everybody knows it")
    rotated.add_argument("--wait", action="store_true", help="until it does")
    rotated.add_argument(
        "--timeout", type=float, default=1800.0, metavar="S", help="how long to wait, in seconds (default: %(default)g)"
    )
    revoked = _action(actions, "revoke", _revoke, "have a key trusted by nobody any more, from now on")
    revoked.add_argument("kid", metavar="KID", help="of the key, or as much of its beginning as tells it from others")
    revoked.add_argument("-y", "--yes", action="store_true", help="do not ask")


def shielded(arguments: Sequence[str]) -> list[str]:
    """The same with a kid that begins with a dash where it is not taken for a flag."""
    kids = [word for word in arguments if _KID.match(word)]
    if "keys" not in arguments[:2] or not kids or "--" in arguments:
        return list(arguments)
    return [*(word for word in arguments if word not in kids), "--", *kids]


def _action(actions: Any, name: str, work: Any, text: str) -> Any:
    command = actions.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    flag = command.add_argument
    flag("-n", "--namespace", default=NAMESPACE, help="where the operator is installed (default: %(default)s)")
    flag("--name", default=NAME, help="the name of the operator's Deployment (default: %(default)s)")
    flag("--kubeconfig", type=Path, metavar="FILE", help="how to reach the cluster (default: as kubectl does)")
    flag("--context", default="", metavar="NAME", help="which context of the kubeconfig (default: the current one)")
    flag("-d", "--directory", type=Path, metavar="DIR", help="of a running `edgerun local`, in place of a cluster")
    command.set_defaults(run=lambda options: asyncio.run(_opened(options, work)))
    return command


async def _opened(options: argparse.Namespace, work: Any) -> int:
    if options.directory:
        from . import local_keys

        return int(await work(local_keys.of(options.directory), options))
    from .cluster_keys import Place, opened  # the client of Kubernetes takes half a second to load
    from .local_instances import without_cluster

    with without_cluster():
        async with opened(Place(options.namespace, options.name), options.kubeconfig, options.context) as keychain:
            return int(await work(keychain, options))


async def _list(keychain: "Keychain", options: argparse.Namespace) -> int:
    from . import keywords

    found, operator = await keychain.listing(), await keychain.operator()
    print(keywords.as_json(found, operator) if options.output == "json" else keywords.overview(found, operator))
    return 0


async def _rotate(keychain: "Keychain", options: argparse.Namespace) -> int:
    from . import keywords

    before = await keychain.listing()
    after = await keychain.rotate()
    print(keywords.rotating(after, await keychain.operator()), flush=True)
    return await _waited(keychain, before.signing, options.timeout) if options.wait else 0


async def _waited(keychain: "Keychain", signed: str, within_s: float) -> int:
    ends = time.monotonic() + within_s
    while time.monotonic() < ends:
        try:
            now = (await keychain.listing()).signing
        except UnavailableError:
            now = ""  # the wish is stored: whoever is away comes back
        if now not in ("", signed):
            print(f"{now} signs")
            return 0
        await asyncio.sleep(min(POLL_S, within_s))
    print(f"not within {within_s:g} s: {signed} still signs; the wish stays", file=sys.stderr)
    return 1


async def _revoke(keychain: "Keychain", options: argparse.Namespace) -> int:
    from . import keywords

    found = await keychain.listing()
    key = keywords.meant(found, options.kid)
    if key.phase == "Revoked":
        print(f"{key.kid} is revoked already, since {keywords.instant(key.since)}")
        return 0
    print(keywords.revoking(found, key), flush=True)
    if not options.yes and not _confirmed():
        print("nothing is changed", file=sys.stderr)
        return 1
    after = await keychain.revoke(key.kid)
    print(keywords.revoked(after, key.kid, await keychain.operator()))
    return 0


def _confirmed() -> bool:
    """Raises SettingsError when there is nobody to ask."""
    if not sys.stdin.isatty():
        raise SettingsError("nobody is there to confirm this; give --yes if it is meant")
    try:
        return input("Revoke it? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False
