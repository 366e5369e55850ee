"""`edgerun autoscale replay` as people and other programs use it."""

import io
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgerun.cli import main

REPLAY = (str(Path(sys.executable).with_name("edgerun")), "autoscale", "replay", "-")
CASE = {
    "spec": {"target": 7, "total": 10, "targetBurstCapacity": 211},
    "ticks": [
        {"t": 2.0, "ready": 1, "stable": 20.5, "panic": 44.0},
        {"t": 4.1, "ready": 1, "stable": None, "panic": None},
    ],
}
GOT = [
    {"desired": 7, "excessBurstCapacity": -245, "valid": True, "mode": "panic"},
    {"desired": 0, "excessBurstCapacity": 0, "valid": False, "mode": "panic"},
]


def written(folder: Path, document: object) -> str:
    path = folder / "trace.json"
    path.write_text(json.dumps(document))
    return str(path)


def complaints(folder: Path, document: object, capsys: pytest.CaptureFixture[str]) -> list[str]:
    file = written(folder, document)
    assert main(["autoscale", "replay", file]) == 2
    captured = capsys.readouterr()
    assert not captured.out
    return [line.removeprefix(f"{file}: ") for line in captured.err.splitlines()]


def test_the_answer_is_the_input_with_a_decision_for_every_tick() -> None:
    want = [{"desired": 7}, {}]
    text = json.dumps([CASE | {"want": want}, CASE | {"got": "of an earlier replay"}])
    done = subprocess.run(REPLAY, input=text, capture_output=True, text=True, timeout=240, check=True)
    assert json.loads(done.stdout) == [CASE | {"want": want, "got": GOT}, CASE | {"got": GOT}]
    assert not done.stderr


def test_a_reader_that_goes_away_is_no_error() -> None:
    tick = {"t": 2, "ready": 1, "stable": 1, "panic": 1}
    text = json.dumps({"spec": {"target": 7, "total": 10}, "ticks": [tick] * 5000})
    with subprocess.Popen(REPLAY, stdin=-1, stdout=-1, stderr=-1, text=True) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        process.stdin.write(text)
        process.stdin.close()
        assert not process.stderr.read()
        assert process.wait(240) == 141


def test_one_case_gets_one_answer_and_an_empty_list_an_empty_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["autoscale", "replay", written(tmp_path, CASE)]) == 0
    assert json.loads(capsys.readouterr().out) == CASE | {"got": GOT}
    assert main(["autoscale", "replay", written(tmp_path, [])]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_a_summary_has_a_line_for_each_case(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spike = {
        "spec": {"target": 10, "total": 10},
        "ticks": [{"t": at, "ready": 1, "stable": 5, "panic": 30 if at == 4 else 5} for at in range(2, 102, 2)],
    }
    assert main(["autoscale", "replay", "--summary", written(tmp_path, [CASE, spike])]) == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()[1:]] == [
        ["0", "2", "1", "2", "2", "7", "0", "15"],
        ["1", "50", "0", "98", "62", "3", "2", str(1 * 2 + 3 * 62 + 1 * 34)],
    ]


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = {"target": 0, "totl": 3, "reachable": 1, "activationScale": 1.5, "targetBurstCapacity": -2}
    ticks = [{"t": -1, "ready": True, "stable": "x", "panic": None}, {"t": 2, "readyy": 1, "stable": [1]}, 7]
    document = [CASE, {"spec": spec, "ticks": ticks, "zzz": 1}, 5, {"ticks": {}}]
    assert complaints(tmp_path, document, capsys) == [
        "case 1, field zzz: there is no such field; allowed are spec, ticks, want, got",
        "case 1, spec, field target: given 0, allowed is a number above 0",
        "case 1, spec, field total: it is missing, allowed is a number above 0",
        "case 1, spec, field targetBurstCapacity: given -2, allowed is -1, or a number from 0 on",
        "case 1, spec, field activationScale: given 1.5, allowed is a whole number from 0 to 2147483647",
        "case 1, spec, field reachable: given 1, allowed is true or false",
        "case 1, spec, field totl: there is no such field; did you mean total?",
        "case 1, tick 0, field t: given -1, allowed is a number of seconds, 0 or more",
        "case 1, tick 0, field ready: given true, allowed is a whole number from 0 to 2147483647",
        'case 1, tick 0, field stable: given "x", allowed is a number, or null for no data yet',
        "case 1, tick 1, field ready: it is missing, allowed is a whole number from 0 to 2147483647",
        "case 1, tick 1, field stable: given a list, allowed is a number, or null for no data yet",
        "case 1, tick 1, field panic: it is missing, allowed is a number, or null for no data yet",
        "case 1, tick 1, field readyy: there is no such field; did you mean ready?",
        "case 1, tick 2: given 7, allowed is an object with t, ready, stable, panic",
        "case 2: given 5, allowed is an object with spec and ticks",
        "case 3, spec: it is missing, allowed is an object with target, total, targetBurstCapacity, panicThreshold, "
        "stableWindow, scaleDownDelay, maxScaleUpRate, maxScaleDownRate, activationScale, reachable, initialReady",
        "case 3, field ticks: given an object, allowed is a list",
    ]


def test_a_mistake_in_every_tick_is_not_told_a_thousand_times(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = complaints(tmp_path, CASE | {"ticks": [{}] * 1000}, capsys)
    assert len(lines) == 101
    assert lines[-1] == "and 3900 more"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"spec":', "standard input is not JSON: Expecting value: line 1 column 9 (char 8)"),
        ('{"spec": NaN}', "standard input is not JSON: NaN is no number of JSON"),
        ("[" * 100_000, "standard input is not JSON: it is nested too deeply"),
    ],
)
def test_what_is_no_json_is_told_with_its_place(
    text: str, problem: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(text.encode())))
    assert main(["autoscale", "replay", "-"]) == 2
    assert capsys.readouterr().err == f"edgerun: {problem}\n"


def test_a_file_that_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["autoscale", "replay", str(tmp_path / "none.json")]) == 2
    assert "none.json: No such file or directory" in capsys.readouterr().err


@pytest.mark.parametrize("value", [1e999, 10**400, True, "1", [], None])
def test_a_number_is_a_number_that_a_float_can_hold(value: Any, tmp_path: Path) -> None:
    spec = {"target": 7, "total": value}
    assert main(["autoscale", "replay", written(tmp_path, {"spec": spec, "ticks": []})]) == 2
