"""The commands as a user runs them, in processes of their own."""

import http.client
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
import yaml

from support.poll import eventually_sync
from support.ports import free_port

pytestmark = pytest.mark.envoy

EDGERUN = Path(sys.executable).with_name("edgerun")
APP = """
apiVersion: edgerun.dev/v1alpha1
kind: OriginService
metadata: {name: app, namespace: shop}
spec: {template: {spec: {containers: [{command: [python3, -m, http.server, $(PORT)]}]}}}
---
apiVersion: edgerun.dev/v1alpha1
kind: EdgeRoute
metadata: {name: web, namespace: shop}
spec:
  hostnames: [web.test]
  rules:
  - {name: app, origins: [{service: {name: app}}]}
  - {name: hello, matches: [{path: {value: /hello}}], respond: {body: hi}}
"""
TOUR = """
requests:
- {host: web.test, path: /hello, expect: {status: 200, rule: shop/web/hello, body: hi}}
- {host: web.test, path: /, expect: {status: %s, rule: shop/web/app, origin: shop/app}}
"""


def edgerun(*words: object) -> subprocess.CompletedProcess[str]:
    command = [EDGERUN, *map(str, words)]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    directory = tmp_path / "yaml"
    directory.mkdir()
    (directory / "app.yaml").write_text(APP)
    return directory


@contextmanager
def serving(folder: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """`edgerun local` on `port`, once it is ready; killed at the end whatever happens."""
    command = [EDGERUN, "local", folder, "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout
            lines = []
            for line in process.stdout:
                lines.append(line)
                if "Ctrl-C stops everything" in line:
                    break
            else:
                raise AssertionError("".join(lines))
            yield process
        finally:
            process.kill()


def answers(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=60):
        return True


def family_of(pid: int) -> dict[int, str]:
    """All descendants of a process, with their command lines."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()]
    found: dict[int, str] = {}
    wave = {pid}
    while wave:
        children = {int(row[0]): row[2] for row in rows if int(row[1]) in wave and int(row[0]) not in found}
        found |= children
        wave = set(children)
    return found


def alive(pids: Iterable[int]) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}/stat").exists()]


def test_status_shows_every_object_as_kubectl_would(folder: Path) -> None:
    with serving(folder, port := free_port()):
        table = edgerun("status", folder).stdout
        assert re.search(r"^KIND +NAMESPACE +NAME +READY +REASON +REPLICAS +URL +AGE$", table, re.MULTILINE)
        assert re.search(rf"^EdgeRoute +shop +web +True +Ready +- +http://web.test:{port} +\d+s$", table, re.MULTILINE)
        assert re.search(
            r"^OriginService +shop +app +True +Ready +1/1 +- +\d+s$", table, re.MULTILINE
        )  # a guard is there


def test_status_shows_the_whole_truth_as_yaml_and_as_json(folder: Path) -> None:
    with serving(folder, free_port()):
        route, service = yaml.safe_load_all(edgerun("status", folder, "-o", "yaml").stdout)
        listed = json.loads(edgerun("status", folder, "-o", "json").stdout)
    assert listed == {"apiVersion": "v1", "kind": "List", "items": [route, service]}
    conditions = {part["type"]: part for part in route["status"]["conditions"]}
    assert conditions.keys() == {"Accepted", "ResolvedRefs", "Programmed", "Ready"}
    assert conditions["Programmed"]["observedGeneration"] == 1
    assert route["status"]["edges"] == [{"name": "default", "proxies": 1, "programmed": 1}]
    assert service["spec"]["template"]["spec"]["containers"][0]["command"][0] == "python3"


def test_status_says_what_is_wrong_with_what(folder: Path) -> None:
    with serving(folder, free_port()):
        (folder / "app.yaml").write_text(APP.replace("name: app}}]", "name: ap}}]"))
        (folder / "broken.yaml").write_text("a: [")
        said = status_with(folder, "broken.yaml", "OriginNotFound")
    assert 'OriginService "ap" not found in namespace shop (OriginServices there: app, did you mean "app"?)' in said


def status_with(folder: Path, *words: str) -> str:
    def said() -> str:
        shown = edgerun("status", folder).stdout
        assert all(word in shown for word in words), shown
        return shown

    return eventually_sync(said)


def test_status_without_an_instance_says_how_to_start_one(folder: Path) -> None:
    run = edgerun("status", folder)
    assert (run.returncode, run.stdout) == (2, "")
    assert "no `edgerun local` is running on" in run.stderr
    assert "Traceback" not in run.stderr


def test_status_of_a_folder_that_is_none_tells_which_are_served(folder: Path) -> None:
    with serving(folder, free_port()):
        run = edgerun("status", folder.with_name("yamll"))
    assert f"no `edgerun local` is running on {folder}l, which is no folder; running: " in run.stderr
    assert str(folder) in run.stderr.partition("running: ")[2]


def test_an_instance_that_is_stuck_is_named_with_its_pid(folder: Path) -> None:
    with serving(folder, free_port()) as process:
        process.send_signal(signal.SIGSTOP)
        run = edgerun("status", folder)
    assert (run.returncode, run.stdout) == (2, "")
    assert f"(pid {process.pid}) does not answer: nothing came within " in run.stderr


@pytest.mark.parametrize("port", ["99999", "0", "web"])
def test_a_port_that_is_none_is_refused_with_the_bounds(folder: Path, port: str) -> None:
    run = edgerun("local", folder, "--port", port)
    assert run.returncode == 2
    assert f"--port: '{port}' is not a whole number from 1 to 65535" in run.stderr


@pytest.mark.parametrize(
    ("written", "said"),
    [(None, "cannot be read: No such file or directory"), ("requests: []", "it has no requests")],
)
def test_a_tour_that_is_none_is_refused_before_anything_starts(
    folder: Path, tmp_path: Path, written: str | None, said: str
) -> None:
    tour = tmp_path / "tour.yaml"
    if written is not None:
        tour.write_text(written)
    run = edgerun("local", folder, "--tour", tour, "--port", free_port())
    assert (run.returncode, run.stdout) == (2, "")
    assert f"{tour}: " in run.stderr
    assert said in run.stderr


def test_keys_are_listed_rotated_and_revoked_while_requests_go_on(folder: Path) -> None:
    with serving(folder, port := free_port()):
        before = json.loads(edgerun("keys", "list", "--directory", folder, "-o", "json").stdout)
        assert "signs until" in edgerun("keys", "rotate", "--directory", folder).stdout
        revoked = edgerun("keys", "revoke", before["signing"], "--directory", folder, "--yes")
        assert f"{before['signing']} is revoked; {before['next']} signs" in revoked.stdout, revoked.stderr
        assert re.search(
            rf"^{before['signing']} +Revoked ", edgerun("keys", "list", "--directory", folder).stdout, re.M
        )
        eventually_sync(lambda: status_of(port, "/") == 200)


def test_keys_of_an_instance_that_does_not_run_are_not_asked_for(folder: Path) -> None:
    run = edgerun("keys", "list", "--directory", folder)
    assert run.returncode == 2
    assert f"no `edgerun local` is running on {folder}; start one with: edgerun local {folder}" in run.stderr


def status_of(port: int, path: str) -> int:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", path, headers={"Host": "web.test"})
        return connection.getresponse().status


def test_two_instances_at_once_do_not_collide(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "app.yaml").write_text(APP)
    with serving(folder, one := free_port()), serving(other, two := free_port()):
        assert answers(one)
        assert answers(two)
        assert len(re.findall(r"shop +app +True", edgerun("status").stdout)) >= 2


def test_a_port_that_is_taken_is_named_with_the_way_out(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = edgerun("local", folder, "--port", port)
    assert run.returncode == 2
    assert f"port {port} on 127.0.0.1 is in use" in run.stderr
    assert "--port" in run.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_everything_in_order(folder: Path, number: signal.Signals) -> None:
    with serving(folder, free_port()) as process:
        family = family_of(process.pid)
        assert any("http.server" in command for command in family.values())
        process.send_signal(number)
        assert process.wait(120) == 0
        eventually_sync(lambda: not alive(family))


def test_nothing_outlives_an_instance_that_is_killed(folder: Path) -> None:
    with serving(folder, port := free_port()) as process:
        family = family_of(process.pid)
        assert any("envoy" in command for command in family.values())
        process.kill()
        process.wait(120)
        eventually_sync(lambda: not alive(family))
        with pytest.raises(OSError, match="refused"):
            answers(port)
    assert edgerun("status", folder).returncode == 2


def test_a_tour_shows_who_answered_and_ends_by_itself(folder: Path, tmp_path: Path) -> None:
    tour = tmp_path / "tour.yaml"
    tour.write_text(TOUR % 200)
    run = edgerun("local", folder, "--port", free_port(), "--tour", tour)
    assert run.returncode == 0, run.stdout + run.stderr
    assert re.search(r"GET +web.test +/ +shop/web/app +shop/app +200 +1 +[\d.]+", run.stdout)
    assert "all 2 requests as expected" in run.stdout


def test_a_tour_that_goes_wrong_says_what_and_fails(folder: Path, tmp_path: Path) -> None:
    tour = tmp_path / "tour.yaml"
    tour.write_text(TOUR % 201)
    run = edgerun("local", folder, "--port", free_port(), "--tour", tour)
    assert run.returncode == 1
    assert "! web.test/: status is 200, want 201" in run.stdout
    assert "1 of 2 requests went wrong" in run.stdout


def test_on_a_terminal_the_edge_stays_up_after_the_tour(folder: Path, tmp_path: Path) -> None:
    tour = tmp_path / "tour.yaml"
    tour.write_text(TOUR % 200)
    ours, theirs = pty.openpty()
    command = [EDGERUN, "local", folder, "--port", str(port := free_port()), "--tour", tour]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        deadline = time.monotonic() + 120
        while b"Ctrl-C stops everything" not in shown and time.monotonic() < deadline:
            with suppress(OSError):  # it has ended
                shown += os.read(ours, 65536)
                continue
            break
        assert b"as expected" in shown, shown
        assert process.poll() is None
        assert answers(port)
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 0
    os.close(ours)


def test_validate_shows_all_problems_with_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(APP.replace("hostnames: [web.test]", "hostnames: [Web.Test]\n  ruls: []"))
    run = edgerun("validate", file)
    assert run.returncode == 1
    lines = run.stdout.splitlines()
    assert any(line.startswith(f"{file}:11: EdgeRoute shop/web: spec.hostnames[0]: Invalid value") for line in lines), (
        lines
    )
    assert any('unknown field "spec.ruls"; did you mean "rules"?' in line for line in lines)
    assert lines[-1] == "2 errors, 0 warnings"


def test_validate_is_content_with_the_examples() -> None:
    run = edgerun("validate", Path(__file__).parents[2] / "examples")
    assert (run.returncode, run.stdout) == (0, "no problems found\n")


def test_render_shows_what_envoy_would_be_told_the_same_each_time(folder: Path) -> None:
    first, second = edgerun("render", folder), edgerun("render", folder / "app.yaml")
    assert first.returncode == 0
    assert first.stdout == second.stdout
    plan = yaml.safe_load(first.stdout)
    assert [host["name"] for host in plan["routes"][0]["virtual_hosts"]] == ["web.test"]


def test_render_refuses_what_validate_refuses(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(textwrap.dedent(APP).replace("rules:", "ruls:"))
    run = edgerun("render", tmp_path)
    assert (run.returncode, run.stdout) == (1, "")
    assert "unknown field" in run.stderr
