"""The commands of tools/cluster as tests call them, and the way from the host to a Service.

In a cluster of our own making the host reaches every Service at its address. Elsewhere kubectl forwards a port.
Trap: a forwarded port leads to one pod and ends with it, so what happens while pods come and go is only seen in a
cluster of our own.
"""

import os
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from support.poll import eventually_sync

TOOLS = Path(__file__).parents[2] / "tools"
_FORWARDING = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+) ")


class Address(NamedTuple):
    host: str
    port: int


def tool(name: str, *arguments: str | Path, stdin: str | None = None, **environment: str) -> str:
    """Runs a command of tools/cluster and gives its stdout. Fails the test with all that it said."""
    return told(TOOLS / "cluster" / name, *arguments, stdin=stdin, **environment)


def told(program: Path, *arguments: str | Path, stdin: str | None = None, **environment: str) -> str:
    command = [str(program), *map(str, arguments)]
    done = subprocess.run(command, input=stdin or "", capture_output=True, text=True, env={**os.environ, **environment})
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


def is_ours(kubeconfig: Path) -> bool:
    """Whether the cluster is one of our own making, and neither kind's nor the one of KUBECONFIG."""
    return (kubeconfig.parent / "cable").exists()


@contextmanager
def reached(kubeconfig: Path, namespace: str, service: str, port: str = "http") -> Iterator[Address]:
    """Where this process reaches the named port of the Service while the block runs."""
    if is_ours(kubeconfig):
        asked = f"jsonpath={{.spec.clusterIP}} {{.spec.ports[?(@.name=='{port}')].port}}"
        host, number = tool("kubectl", "--namespace", namespace, "get", "service", service, f"--output={asked}").split()
        address = Address(host, int(number))
        # The rules for its packets follow a moment after its pods.
        eventually_sync(lambda: socket.create_connection(address, timeout=1)).close()
        yield address
        return
    program, forward = TOOLS / "cluster" / "kubectl", ["port-forward", f"service/{service}", f":{port}"]
    command = [str(program), "--namespace", namespace, *forward]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as forwarding:
        try:
            assert forwarding.stdout
            first = _FORWARDING.match(forwarding.stdout.readline())
            assert first, f"kubectl forwards no port to {namespace}/{service}"
            yield Address("127.0.0.1", int(first[1]))
        finally:
            forwarding.terminate()
