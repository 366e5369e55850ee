"""One origin as a local process: start, readiness, crash, output, end."""

import asyncio
import json
import os
import signal
import socket
import sys
import time
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from edgerun.api.originservice import OriginService
from edgerun.api.templates import ContainerPort, HTTPGetAction, HTTPHeader, TCPSocketAction
from edgerun.infra.local import ports
from edgerun.infra.local.site import Timing
from edgerun.translate.phases import OriginPhase
from edgerun.translate.world import Endpoint
from local.harness import IMPATIENT, PAY, SECOND, SERVER, House, ask, housed, origin, revision
from support.poll import eventually

WAITING = "import time\nwhile True: time.sleep(60)"


async def test_an_origin_is_ready_when_it_accepts_on_the_port_it_was_given(house: House) -> None:
    house.apply(origin(env={"GREETING": "good day"}))
    seen = await house.until_ready()
    (endpoint,) = seen.endpoints
    assert endpoint.address == "127.0.0.1"
    assert await ask(endpoint.port) == "good day"
    assert house.observations()[0].phase is OriginPhase.STARTING  # type: ignore[union-attr]


async def test_an_http_probe_waits_for_a_good_status(house: House) -> None:
    script = SERVER.replace('b"HTTP/1.1 200 OK', '(b"HTTP/1.1 200 OK" if b"/ready" in head else b"HTTP/1.1 503 No")+b"')
    house.apply(origin(script, get=HTTPGetAction(path="/live")))
    seen = await house.until_reason("ProbeFailing")
    assert seen.phase is OriginPhase.STARTING
    assert "does not answer GET /live" in seen.message
    house.apply(revision(origin(script, get=HTTPGetAction(path="/ready")), 2))
    await house.until_ready(SECOND)


async def test_an_http_probe_sends_its_headers_in_place_of_those_that_are_always_sent(house: House) -> None:
    script = SERVER.replace(
        'b"HTTP/1.1 200 OK',
        '(b"HTTP/1.1 200 OK" if b"Host: shop.example" in head and head.count(b"ost:") == 1 else b"HTTP/1.1 503 No")+b"',
    )
    headers = (HTTPHeader(name="Host", value="shop.example"),)
    house.apply(origin(script, get=HTTPGetAction(path="/", http_headers=headers)))
    await house.until_ready()


@pytest.mark.parametrize("port", [None, 9000, "web"])
async def test_a_probe_of_the_containers_port_looks_at_the_port_it_was_given(
    house: House, port: int | str | None
) -> None:
    named = (ContainerPort(container_port=9000, name="web"),)
    house.apply(origin(ports=named, tcp=TCPSocketAction(port=port)))
    assert (await house.until_ready()).endpoints[0].port != 9000


async def test_a_probe_of_an_unknown_port_says_which_there_are(house: House) -> None:
    named = (ContainerPort(container_port=9000, name="web"),)
    house.apply(origin(ports=named, tcp=TCPSocketAction(port="wep")))
    seen = await house.until_reason("ProbePortUnknown")
    assert seen.message == 'readinessProbe names port "wep" (ports with a name: web)'


async def test_an_app_that_ignores_port_is_told_where_it_listens_instead(house: House) -> None:
    script = (
        "import socket, time\ns = socket.create_server(('127.0.0.1', 0))\n"
        "print(s.getsockname()[1], flush=True)\ntime.sleep(60)"
    )
    house.apply(origin(script))
    seen = await house.until_reason("NotListening")
    assert seen.phase is OriginPhase.STARTING
    assert seen.endpoints == ()
    assert f"it listens on {house.lines()[0]}" in seen.message
    assert "$PORT" in seen.message
    assert [one.reason for one in house.observations() if one].count("NotListening") == 1


async def test_a_stranger_on_the_port_is_not_taken_for_the_origin(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        free = ports.origin_port(frozenset())
        offered = iter([stranger.getsockname()[1], free])
        monkeypatch.setattr(ports, "origin_port", lambda taken: next(offered))
        house.apply(origin())
        seen = await house.until_ready()
    assert seen.endpoints == (Endpoint("127.0.0.1", free),)
    assert not [one for one in house.observations() if one and one.phase is OriginPhase.FAILED]


async def test_a_stranger_on_the_port_of_a_silent_origin_is_noticed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        monkeypatch.setattr(ports, "origin_port", lambda taken: stranger.getsockname()[1])
        house.apply(origin(WAITING))
        seen = await house.until_reason("PortTaken")
    assert seen.endpoints == ()


async def test_a_crash_withdraws_the_endpoints_and_starts_again(house: House) -> None:
    house.apply(origin())
    before = await house.until_ready()
    await ask(before.endpoints[0].port, "/quit")
    after = await house.until(lambda seen: seen.phase is OriginPhase.READY and seen != before)
    crashed = [seen for seen in house.observations() if seen and seen.reason == "CrashLoopBackOff"]
    assert crashed[0].endpoints == ()
    assert crashed[-1].message == "exit code 7:\ngoing down"
    assert await ask(after.endpoints[0].port) == "hello"


async def test_the_signal_that_killed_an_origin_is_named(house: House) -> None:
    house.apply(origin("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"))
    assert (await house.until_reason("CrashLoopBackOff")).message == "killed by SIGKILL"


async def test_last_words_are_the_last_five_lines_and_no_more_than_two_kilobytes(house: House) -> None:
    script = "import sys\nfor n in range(9): print(n, 'x' * 600, file=sys.stderr)\nsys.exit(1)"
    house.apply(origin(script))
    seen = await house.until(lambda seen: "\n" in seen.message)
    assert len(seen.message) < 2100
    assert "8 xxx" in seen.message
    assert "3 xxx" not in seen.message


async def test_restarts_come_at_doubling_distances_up_to_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses, sleep = list[float](), asyncio.sleep

    async def told(seconds: float, *result: object) -> object:
        pauses.append(seconds)
        return await sleep(seconds, *result)

    monkeypatch.setattr(asyncio, "sleep", told)
    async with housed(tmp_path, timing=Timing(first_pause_s=0.11, longest_pause_s=0.44)) as house:
        house.apply(origin("print('hello', flush=True)"))
        await eventually(lambda: len(house.lines()) >= 5)
    assert [pause for pause in pauses if pause in (0.11, 0.22, 0.44, 0.88)][:4] == [0.11, 0.22, 0.44, 0.44]


async def test_health_forgives_earlier_crashes(tmp_path: Path) -> None:
    async with housed(tmp_path, timing=Timing(first_pause_s=0.2, longest_pause_s=600, healthy_s=0.2)) as house:
        house.apply(origin())
        for _ in range(10):  # without forgiveness the tenth pause would last 102 s
            seen = await house.until(lambda seen: bool(seen.endpoints))
            reached = len(house.history)
            healthy_until = time.monotonic() + 0.25
            await eventually(lambda until=healthy_until: time.monotonic() > until)
            await ask(seen.endpoints[0].port, "/quit")
            await eventually(lambda reached=reached: len(house.history) > reached)


async def test_children_that_a_crashed_origin_left_behind_are_ended(house: House) -> None:
    script = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-I', '-S', '-c', {WAITING!r}], start_new_session=True)\n"
        "print(child.pid, flush=True)\nsys.exit(3)"
    )
    house.apply(origin(script))
    await eventually(lambda: len(house.lines()) >= 3)
    first = int(house.lines()[0])
    await eventually(lambda: first not in house.pids())


async def test_one_origin_that_crashes_leaves_the_others_alone(house: House) -> None:
    house.apply(origin("raise SystemExit(1)"), origin(name="pay"))
    await house.until_ready(PAY)
    await house.until_reason("CrashLoopBackOff")
    assert len([seen for seen in house.observations(PAY) if seen and seen.endpoints]) == 1


async def test_only_an_image_cannot_run_here_and_says_what_to_write(house: House) -> None:
    house.apply(origin(command=(), image="nginx:1.27"))
    seen = await house.until_reason("NoCommand")
    assert seen.phase is OriginPhase.FAILED
    assert 'image "nginx:1.27" cannot run here' in seen.message
    assert "command:" in seen.message


async def test_a_template_that_needs_a_cluster_does_not_run_and_says_why(house: House) -> None:
    needy = msgspec.to_builtins(origin())
    needy["spec"]["template"]["spec"]["containers"][0]["envFrom"] = [{"secretRef": {"name": "a"}}]
    house.apply(msgspec.convert(needy, OriginService))
    seen = await house.until_reason("NeedsCluster")
    assert seen.phase is OriginPhase.FAILED
    assert "containers[0].envFrom" in seen.message


async def test_a_command_that_is_nowhere_names_the_path_that_was_searched(house: House) -> None:
    house.apply(origin(command=("no-such-thing",), env={"PATH": "/opt/nothing:/usr/bin"}))
    seen = await house.until_reason("CommandNotFound")
    assert seen.message == 'command "no-such-thing" is not in PATH: /opt/nothing:/usr/bin'


async def test_a_file_that_cannot_be_executed_is_refused(house: House, tmp_path: Path) -> None:
    (tmp_path / "app").write_text("#!/bin/sh\n")
    house.apply(origin(command=("./app",)))
    assert "is not an executable file" in (await house.until_reason("CommandNotFound")).message


async def test_a_file_that_the_kernel_will_not_run_is_told(house: House, tmp_path: Path) -> None:
    (tmp_path / "app").write_bytes(b"\x00\x01\x02")
    (tmp_path / "app").chmod(0o755)
    house.apply(origin(command=("./app",)))
    assert "Exec format error" in (await house.until_reason("StartFailed")).message


async def test_a_missing_working_directory_is_named_and_found_once_it_is_there(house: House, tmp_path: Path) -> None:
    house.apply(origin(working_dir="app"))
    seen = await house.until_reason("WorkingDirMissing")
    assert str(tmp_path / "app") in seen.message
    (tmp_path / "app").mkdir()
    await house.until_ready()


async def test_the_environment_holds_what_knative_promises_and_no_secret_of_ours(tmp_path: Path) -> None:
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": "/home/me",
        "LC_TIME": "C",
        "AWS_SECRET_ACCESS_KEY": "s",
        "TOKEN": "t",
    }
    script = "import json, os; print(json.dumps(dict(os.environ)), flush=True)\n" + SERVER
    async with housed(tmp_path, environ=environ) as house:
        env = {"PLAIN": "$$(HOST) costs $$5", "HOST": "db", "URL": "http://$(HOST):$(PORT)/$(NOBODY)", "PORT": "1"}
        house.apply(origin(script, env=env))
        seen = await house.until_ready()
        told = json.loads(house.lines()[0])
    port = str(seen.endpoints[0].port)
    assert told["PORT"] == port
    assert told["URL"] == f"http://db:{port}/$(NOBODY)"
    assert told["PLAIN"] == "$(HOST) costs $5"
    assert (told["K_SERVICE"], told["K_REVISION"], told["K_CONFIGURATION"]) == ("cart", "cart-00001", "cart")
    assert (told["HOME"], told["LC_TIME"]) == ("/home/me", "C")
    assert not {"AWS_SECRET_ACCESS_KEY", "TOKEN"} & told.keys()


async def test_variables_are_expanded_in_command_and_args(house: House) -> None:
    command = (sys.executable, "-c", "import sys; print(sys.argv[1:], flush=True)", "$(K_SERVICE)")
    house.apply(origin(command=command, args=("$(A)-$(MISSING)-$$(A)",), env={"A": "1"}))
    await eventually(lambda: bool(house.lines()))
    assert house.lines()[0] == "['cart', '1-$(MISSING)-$(A)']"


async def test_a_flood_of_output_blocks_neither_the_child_nor_the_others(house: House) -> None:
    script = "import sys\nfor n in range(20000): sys.stdout.write(f'line {n}\\n')\nsys.stdout.flush()\n" + SERVER
    house.apply(origin(script), origin(name="pay"))
    await house.until_ready(PAY)
    await house.until_ready()
    await eventually(lambda: len(house.lines()) == 20000)
    assert house.lines()[-1] == "line 19999"


async def test_a_line_without_end_is_cut_and_bad_bytes_are_replaced(house: House) -> None:
    script = "import sys\nsys.stdout.buffer.write(b'\\xff\\xfeok\\n' + b'x' * 20000)\nsys.stdout.flush()\n" + SERVER
    house.apply(origin(script))
    await eventually(lambda: len("".join(house.lines())) >= 16388)
    assert house.lines()[0] == "\ufffd\ufffdok"
    assert max(map(len, house.lines())) == 8192


async def test_a_process_that_ignores_sigterm_is_killed_after_its_grace(tmp_path: Path) -> None:
    async with housed(tmp_path, timing=replace(IMPATIENT, grace_s=0.5)) as house:
        house.apply(origin("import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SERVER))
        await house.until_ready()
        assert house.pids()
        loop = asyncio.get_running_loop()
        began = loop.time()
        await house.origins.stop()
        assert loop.time() - began > 0.4
        assert not house.pids()


async def test_an_orderly_end_lets_the_process_clean_up(house: House, tmp_path: Path) -> None:
    script = (
        "import signal, sys\n"
        "def end(*_):\n    open('clean', 'w').close(); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\n" + SERVER
    )
    house.apply(origin(script))
    await house.until_ready()
    await house.origins.stop()
    assert (tmp_path / "clean").exists()


async def test_a_stopped_process_does_not_hold_up_the_end(tmp_path: Path) -> None:
    async with housed(tmp_path, timing=replace(IMPATIENT, grace_s=0.5)) as house:
        house.apply(origin())
        await house.until_ready()
        for pid in house.pids():
            os.kill(pid, signal.SIGSTOP)
        await house.origins.stop()
        assert not house.pids()
