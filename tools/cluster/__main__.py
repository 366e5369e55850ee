"""The command line: build, up, down, image, load, kubectl, helm. Each has a script of its name beside this file.

stdout of `up` is the path of the kubeconfig and nothing else; the rest of what is said goes to stderr.
Trap: kubectl and helm take every argument as theirs, so they are not parsed here.
"""

import argparse
import os
import signal
import sys
from pathlib import Path

from tools.cluster import build, cluster, elsewhere, places
from tools.cluster.images import write_image
from tools.cluster.places import Folder
from tools.cluster.progress import ClusterError, say

TOOLS = {"kubectl": build.KUBERNETES[1:2], "helm": build.ALL[-1:]}


def main(arguments: list[str]) -> int:
    # Being terminated is being interrupted: what was begun is stopped.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if arguments and arguments[0] in TOOLS:
            run_tool(*arguments)
        parsed = parser().parse_args(arguments)
        parsed.handle(parsed)
    except ClusterError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="tools/cluster/run", description="A Kubernetes for the tests.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("build", help="build what it consists of").set_defaults(handle=lambda _: build.build())
    for name, handle, text in (("up", up, "start it"), ("down", down, "stop it and remove all of it")):
        command = commands.add_parser(name, help=text)
        command.add_argument("folder", nargs="?", type=Path, help="where it keeps everything; deleted by down")
        command.add_argument("--apiserver-only", action="store_true", help="no node, and no need of root")
        command.set_defaults(handle=handle)
    command = commands.add_parser("image", help="make an image of one static program")
    command.add_argument("name", help="such as edgerun.dev/probe:1")
    command.add_argument("program", type=Path)
    command.add_argument("archive", type=Path, metavar="IMAGE.tar")
    command.set_defaults(handle=lambda parsed: write_image(parsed.archive, parsed.name, parsed.program))
    command = commands.add_parser("load", help="give images to its node")
    command.add_argument("archives", nargs="+", type=Path, metavar="IMAGE.tar")
    command.add_argument("--folder", type=Path, help="of the cluster, when it was named")
    command.set_defaults(handle=load, apiserver_only=False)
    return top


def up(parsed: argparse.Namespace) -> None:
    folder = folder_of(parsed)
    if own(parsed) or not (kubeconfig := elsewhere.users_kubeconfig(folder)):
        start(folder, parsed)
        kubeconfig = folder.kubeconfig
    else:
        say(f"using the cluster of KUBECONFIG={kubeconfig}; nothing is started")
    print(kubeconfig)


def start(folder: Folder, parsed: argparse.Namespace) -> None:
    if not own(parsed) and elsewhere.kind_at_hand():
        elsewhere.kind_up(folder)
    else:
        cluster.up(folder, api_server_only=parsed.apiserver_only)


def down(parsed: argparse.Namespace) -> None:
    if not own(parsed) and elsewhere.kind_at_hand():
        elsewhere.kind_down()
    cluster.down(folder_of(parsed))


def load(parsed: argparse.Namespace) -> None:
    folder = folder_of(parsed)
    if not own(parsed) and (kubeconfig := elsewhere.users_kubeconfig(folder)):
        elsewhere.refuse_to_load(kubeconfig)
    elif not own(parsed) and elsewhere.kind_at_hand():
        elsewhere.kind_load(parsed.archives)
    else:
        cluster.loaded(folder, parsed.archives)


def own(parsed: argparse.Namespace) -> bool:
    """Whether only a cluster of our own making will do."""
    return parsed.folder is not None or parsed.apiserver_only


def folder_of(parsed: argparse.Namespace) -> Folder:
    usual = places.usual_folder("apiserver" if parsed.apiserver_only else "cluster")
    return Folder((parsed.folder or usual).resolve())


def run_tool(name: str, *arguments: str) -> None:
    """Becomes the tool. The user's cluster comes before ours."""
    build.build(TOOLS[name])
    folder = Folder(places.usual_folder("cluster").resolve())
    environment = cluster.environment(elsewhere.users_kubeconfig(folder) or folder.kubeconfig)
    os.execve(places.program(name), [name, *arguments], environment)  # noqa: S606


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
