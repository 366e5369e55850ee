"""The program of `helm test`, with the rights that the chart gives it, against a real API server.

The operator is played: somebody answers /readyz, and somebody writes a status, or nobody does.
"""

import base64
import importlib.util
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

import pytest
import yaml

from support import apiserver
from support.apiserver import ApiServer
from support.chart import CHART, NAMESPACE, kubectl, render
from support.poll import eventually_sync

pytestmark = pytest.mark.apiserver

NAME = "edgerun-test"
STATUS = {
    "conditions": [
        {
            "type": "Accepted",
            "status": "True",
            "reason": "Accepted",
            "message": "",
            "observedGeneration": 1,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
    ]
}


class Ready(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    if reason := apiserver.missing():
        pytest.skip(f"the program of helm test asks no API server: {reason}")
    with apiserver.running(tmp_path_factory.mktemp("helm-test")) as running:
        kubectl(running, "create", "namespace", NAMESPACE)
        kubectl(running, "apply", "--server-side", "-f", "-", stdin=render())
        yield running


@pytest.fixture
def readyz() -> Iterator[str]:
    """The address of an operator that is ready."""
    with HTTPServer(("127.0.0.1", 0), Ready) as listening:
        serving = threading.Thread(target=listening.serve_forever)
        serving.start()
        yield f"http://127.0.0.1:{listening.server_port}/readyz"
        listening.shutdown()
        serving.join()


@pytest.fixture
def program(server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """As it is in its pod: with the token of its ServiceAccount, and the address of the API server."""
    spec = importlib.util.spec_from_file_location("helm_test", CHART / "files" / "helm_test.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    about = yaml.safe_load(server.kubeconfig.read_text())["clusters"][0]["cluster"]
    (tmp_path / "ca.crt").write_bytes(base64.b64decode(about["certificate-authority-data"]))
    (tmp_path / "token").write_text(kubectl(server, "create", "token", NAME, "-n", NAMESPACE))
    monkeypatch.setattr(module, "ACCOUNT", tmp_path)
    address = urlsplit(about["server"])
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", str(address.hostname))
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(address.port))
    return module


@contextmanager
def operator_that_writes_a_status(server: ApiServer) -> Iterator[None]:
    patch = ("patch", "edgeroute", NAME, "-n", NAMESPACE, "--subresource=status", "--type=merge")

    def write() -> None:
        eventually_sync(lambda: kubectl(server, *patch, "-p", json.dumps({"status": STATUS})))

    writing = threading.Thread(target=write)
    writing.start()
    yield
    writing.join()


def routes(server: ApiServer) -> str:
    return kubectl(server, "get", "edgeroutes", "-A", "-o", "name")


def test_it_passes_when_the_operator_is_ready_and_writes_a_status(
    server: ApiServer, readyz: str, program: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    with operator_that_writes_a_status(server):
        program.main(readyz, NAMESPACE, NAME)
    assert '[{"type": "Accepted", "status": "True", "reason": "Accepted"}]' in capsys.readouterr().out
    assert not routes(server), "it has to leave nothing behind"


def test_it_fails_and_leaves_nothing_when_nobody_writes_a_status(
    server: ApiServer, readyz: str, program: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "WITHIN_S", 1.0)
    with pytest.raises(SystemExit, match="waited 1 s for the operator to give the EdgeRoute a status, in vain"):
        program.main(readyz, NAMESPACE, NAME)
    assert not routes(server)


def test_it_fails_when_the_operator_does_not_answer(program: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "WITHIN_S", 1.0)
    with pytest.raises(SystemExit, match=r"waited 1 s for the operator to be ready, in vain, last: .*refused"):
        program.main("http://127.0.0.1:1/readyz", NAMESPACE, NAME)
