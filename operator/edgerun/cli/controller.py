"""`edgerun controller` and `edgerun drain`: what runs in pods. Every flag is also an environment variable.

SIGTERM ends a controller in order: it stops writing, sends its proxies to another replica, and gives the Lease away.
"""

import argparse
import asyncio
import gc
import json
import logging
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import EdgerunError, SettingsError
from ..infra import envoy
from ..infra.draining import drain
from ..settings import DEFAULT_PORT, GC_THRESHOLDS, ClusterSettings
from . import logs, terms

_PREFIX = "EDGERUN_"
_FROM_POD = {"namespace": "POD_NAMESPACE", "pod_name": "POD_NAME", "pod_ip": "POD_IP"}
_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_CHOICES = {"image_pull_policy": _PULL_POLICIES, "log_format": logs.FORMATS, "log_level": logs.LEVELS}
_LISTS = ("image_pull_secret", "watch_namespace")
_PORTS = ("xds_port", "http_port")
logger = logging.getLogger(__name__)


def add(commands: Any) -> None:
    """The command `controller`."""
    command = commands.add_parser("controller", help="run the control plane of a cluster, as the Helm chart does")
    flag = command.add_argument
    flag("--namespace", help="where the operator and the edge pods live (default: $POD_NAMESPACE)")
    flag("--pod-name", help="the name of this replica (default: $POD_NAME)")
    flag("--pod-ip", help="where proxies reach this replica (default: $POD_IP)")
    flag("--image", help="the image of the edge pods: this one")
    flag("--image-pull-policy", choices=_PULL_POLICIES, help="of the edge pods")
    flag("--image-pull-secret", action="append", metavar="NAME", help="of the edge pods; may be repeated")
    flag("--name", help="the name of the operator's Deployment (default: edgerun)")
    flag("--xds-port", type=_port, help="where proxies are served (default: 18000)")
    flag("--http-port", type=_port, help=f"health and metrics (default: {DEFAULT_PORT})")
    flag(
        "--watch-namespace", action="append", metavar="NAME", help="whose objects count; may be repeated (default: all)"
    )
    flag("--default-edge-proxy", metavar="JSON", help='the spec of the EdgeProxy "default", should it be made')
    terms.add(command)
    flag("--kubeconfig", type=Path, help="how to reach the API server from outside of a pod")
    flag("--log-format", choices=logs.FORMATS, help="text for people, json for programs (default: text)")
    flag("--log-level", choices=logs.LEVELS, help="(default: info)")
    command.set_defaults(run=run)


def add_drain(commands: Any) -> None:
    """The command `drain`."""
    command = commands.add_parser("drain", help="have the Envoy of an edge pod finish; its preStop hook")
    command.add_argument("--admin-socket", type=Path, required=True, help="Envoy's admin interface")
    command.add_argument("--at-least", type=float, required=True, metavar="S", help="go on for so many seconds anyway")
    command.add_argument("--timeout", type=float, required=True, metavar="S", help="in seconds")
    command.set_defaults(run=lambda options: asyncio.run(run_drain(options)))


def run(options: argparse.Namespace) -> int:
    """Until SIGTERM or SIGINT."""
    given = with_environment(vars(options), os.environ)
    logs.set_up(given.get("log_format") or "text", given.get("log_level") or "info")
    found = settings(given)
    envoy.self_check()  # it judges what proxies refuse
    gc.set_threshold(*GC_THRESHOLDS)
    return asyncio.run(_control(found))


async def run_drain(options: argparse.Namespace) -> int:
    limits = {"least_s": options.at_least, "timeout_s": options.timeout}
    try:
        await drain(options.admin_socket, **limits, say=lambda line: print(line, file=sys.stderr))
    except OSError as error:
        print(f"edgerun: there is nothing to drain: {error}", file=sys.stderr)
        return 1
    return 0


def with_environment(flags: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """Flags, and in the place of those that were not given the environment's words. Raises SettingsError."""
    found = dict(flags)
    for name in [name for name, value in flags.items() if value is None]:
        given = environment.get(_PREFIX + name.upper()) or environment.get(_FROM_POD.get(name, ""))
        if given:
            found[name] = _read(name, given)
    return found


def _read(name: str, given: str) -> Any:
    """One word of the environment. Raises SettingsError."""
    if name in _LISTS:
        return [part.strip() for part in given.split(",") if part.strip()]
    if name in _CHOICES and given not in _CHOICES[name]:
        raise SettingsError(f"{_PREFIX}{name.upper()}: {given!r} is none of {', '.join(_CHOICES[name])}")
    if name in _PORTS:
        try:
            return _port(given)
        except argparse.ArgumentTypeError as error:
            raise SettingsError(f"{_PREFIX}{name.upper()}: {error}") from None
    return Path(given) if name == "kubeconfig" else given


def _port(given: str) -> int:
    if given.isascii() and given.isdecimal() and 1 <= int(given) <= 65535:
        return int(given)
    raise argparse.ArgumentTypeError(f"{given!r} is no port; write a number from 1 to 65535")


def settings(given: Mapping[str, Any]) -> ClusterSettings:
    """Raises SettingsError that names all that is missing, and all that cannot be about the credentials."""
    missing = [name for name in ("namespace", "pod_name", "pod_ip", "image") if not given.get(name)]
    credentials, problems = terms.read(given)
    if missing:
        flags = ", ".join(f"--{name.replace('_', '-')} (or {_PREFIX}{name.upper()})" for name in missing)
        problems = (f"the controller must be told {flags}; in a cluster the Helm chart does that", *problems)
    if problems:
        raise SettingsError("\n".join(problems))
    named = ("namespace", "pod_name", "pod_ip", "image", "image_pull_policy", "name", "xds_port", "http_port")
    values: dict[str, Any] = {name: given[name] for name in (*named, "kubeconfig") if given.get(name)}
    return ClusterSettings(
        **values,
        **credentials,
        image_pull_secrets=tuple(given.get("image_pull_secret") or ()),
        watch_namespaces=tuple(given.get("watch_namespace") or ()),
        default_edge_proxy=_edge_proxy(given.get("default_edge_proxy")),
    )


def _edge_proxy(text: str | None) -> Mapping[str, Any]:
    try:
        spec = json.loads(text or "{}")
    except ValueError as error:
        raise SettingsError(f"--default-edge-proxy is not JSON: {error}") from None
    if not isinstance(spec, dict):
        raise SettingsError(f"--default-edge-proxy: {text} is no object; write the spec of an EdgeProxy, such as {{}}")
    return spec


async def _control(found: ClusterSettings) -> int:
    # The client of Kubernetes takes half a second to load, which no other command needs.
    from ..runtime.cluster import running

    end = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.set)
    try:
        async with running(found):
            await end.wait()
            logger.info("told to end")
    except* EdgerunError as errors:
        raise errors.exceptions[0] from None
    return 0
