"""A running `edgerun local` as a user would start it: a process of its own on a folder of its own.

The benchmark speaks to it from outside only: files, HTTP, `edgerun status`. Trap: it is started with --concurrency 1,
so that on two cores the load generator has one and Envoy the other.
"""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

EDGERUN = str(Path(sys.executable).parent / "edgerun")
_START_S = 30.0


@dataclass(frozen=True, slots=True)
class Instance:
    directory: Path
    port: int
    process: subprocess.Popen[bytes]

    def save(self, name: str, text: str) -> None:
        """As editors do: another file, then a rename."""
        draft = self.directory / f".{name}.draft"
        draft.write_text(text)
        draft.rename(self.directory / name)

    def objects(self) -> list[dict[str, Any]]:
        """Every object with its status, as `edgerun status -o yaml` tells."""
        command = [EDGERUN, "status", str(self.directory), "-o", "yaml"]
        said = subprocess.run(command, capture_output=True, text=True, check=False)
        return [] if said.returncode else [document for document in yaml.safe_load_all(said.stdout) if document]

    def url(self, kind: str, name: str) -> str:
        """The url of an object, once it is ready."""
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            for document in self.objects():
                if (document["kind"], document["metadata"]["name"]) == (kind, name) and ready(document):
                    return str(document["status"]["url"])
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        raise RuntimeError(f"{kind} {name} did not become ready; edgerun wrote:\n{self.log()}")

    def log(self) -> str:
        return (self.directory / "log.txt").read_text()


def ready(document: dict[str, Any]) -> bool:
    conditions = document["status"].get("conditions", ())
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


@contextmanager
def serving(text: str) -> Iterator[Instance]:
    """Serves `text` as the only file of a new folder while the block runs."""
    with TemporaryDirectory(prefix="edgerun-bench-") as folder:
        directory, port = Path(folder), free_port()
        (directory / "bench.yaml").write_text(text)
        command = [EDGERUN, "local", str(directory), "--port", str(port), "--concurrency", "1"]
        with (directory / "log.txt").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            yield Instance(directory, port, process)
        finally:
            process.terminate()
            process.wait(30)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
