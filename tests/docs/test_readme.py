"""The README, run: its files are written, its commands are typed, and what they print is compared line by line.

Compared is the shape: rules, origins, statuses, columns, messages. What differs from run to run (times, ids, ports of
origins, how a random split fell) is made equal on both sides first. The port 8080 is a free one in truth.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.markdown import Block, Step, blocks, steps
from support.poll import eventually_sync
from support.standalone import free_port

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(180)]

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
WITHIN_S = 20.0  # from saving a file to what a command says of it

# One request in ten goes there, so that one run in 67 has no such line.
LUCK = "shop/shop/pages shop/web-next"

DIFFERS = (
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "ID"),
    (re.compile(r"(http://127\.0\.0\.1):\d+"), r"\1:PORT"),
    (re.compile(r"\b\d+(\.\d+)? ms\b"), "N ms"),
    (re.compile(r"(\b[1-5]\d\d) +\d+ +\d+\.\d\b"), r"\1 TIMES MS"),
    (re.compile(r"\b\d+[smhd]$"), "AGE"),
    (re.compile(r"[ \t]+"), " "),
)


class Reader:
    """Somebody who does what the README says, in a folder of his own."""

    def __init__(self, folder: Path, within_s: float) -> None:
        self.folder = folder
        self.within_s = within_s
        self.ports = {"8080": free_port(), "8081": free_port()}
        self.serving: list[subprocess.Popen[str]] = []
        (folder / ".venv").mkdir()
        (folder / ".venv" / "bin").symlink_to(BIN)

    def read(self, path: Path) -> None:
        for block in blocks(path):
            self.take(block)

    def take(self, block: Block) -> None:
        if block.language == "yaml" and block.file:
            (self.folder / block.file).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / block.file).write_text(block.text + "\n")
        elif block.language == "console":
            for step in steps(block):
                self.follow(step)

    def follow(self, step: Step) -> None:
        """Type the command until it prints what it should, for what it depends on takes its time."""
        if re.match(r"edgerun local (?!.*--tour)", step.command):
            log = self.start(step)
            eventually_sync(lambda: self.agree(step, log.read_text()), within_s=self.within_s, what=step.where)
        elif re.match(r"make |sed -i|edgerun local", step.command):
            self.agree(step, self.run(step))
        else:
            eventually_sync(
                lambda: self.agree(step, self.run(step)), within_s=self.within_s, step_s=0.1, what=step.where
            )

    def start(self, step: Step) -> Path:
        log = self.folder / f"local-{len(self.serving)}.log"
        command = f"exec {self.own_ports(step.command)} --port {self.ports['8080']}"
        with log.open("w") as file:
            process = subprocess.Popen(
                ["bash", "-c", command], cwd=self.folder, env=self.env, stdin=subprocess.DEVNULL, stdout=file, text=True
            )
        self.serving.append(process)
        return log

    def run(self, step: Step) -> str:
        command, folder = self.own_ports(step.command), self.folder
        if command.startswith("make "):
            command, folder = f"{recipe(command)} --port {self.ports['8080']}", ROOT
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode in ((0, 1) if step.prints else (0,)), f"{step.where}: {step.command}\n{done.stdout}"
        return done.stdout

    def agree(self, step: Step, printed: str) -> bool:
        for told, own in self.ports.items():
            printed = printed.replace(f":{own}", f":{told}")
        missing = lacking(step.prints, printed.splitlines())
        assert not missing, f"{step.where}: {step.command}\ndoes not print\n{missing}\nbut\n{printed}"
        return True

    def own_ports(self, text: str) -> str:
        for told, own in self.ports.items():
            text = re.sub(rf"(:|--port ){told}\b", rf"\g<1>{own}", text)
        return text

    @property
    def env(self) -> dict[str, str]:
        return os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"}


def recipe(command: str) -> str:
    """What make would type in the end, the environment being there."""
    listed = subprocess.run(
        [*command.split(), "--dry-run", "--no-print-directory", "--assume-old=.venv/.ready"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert listed.returncode == 0, f"{command}: {listed.stderr}"
    return listed.stdout.strip().splitlines()[-1].replace(".venv/bin", str(BIN))


def lacking(told: Sequence[str], printed: Sequence[str]) -> str:
    """The lines that were promised and are not there."""
    there = [same(line) for line in printed]
    wanted = [same(line) for line in told if line.strip() not in ("", "...")]
    return "\n".join(line for line in wanted if LUCK not in line and not any(fits(line, one) for one in there))


def same(line: str) -> str:
    for pattern, name in DIFFERS:
        line = pattern.sub(name, line)
    return line.strip()


def fits(line: str, printed: str) -> bool:
    return printed.startswith(line.removesuffix(" ...")) if line.endswith(" ...") else line == printed


@contextmanager
def reader(folder: Path, within_s: float = WITHIN_S) -> Iterator[Reader]:
    one = Reader(folder, within_s)
    try:
        yield one
    finally:
        for process in one.serving:
            process.send_signal(signal.SIGTERM)
        for process in one.serving:
            process.wait(20)


@pytest.mark.skipif(not shutil.which("curl"), reason="the README is not run: there is no curl")
def test_all_that_the_readme_says_is_so(tmp_path: Path) -> None:
    with reader(tmp_path) as one:
        one.read(ROOT / "README.md")
        assert one.serving


@pytest.mark.parametrize(
    "text",
    [
        "$ edgerun frobnicate\ndone",
        "$ edgerun validate --fast .\nno problems found",
        "$ edgerun validate nothing.yaml\nno problems found",
        "$ make teapot\ntea",
        "$ edgerun --version\nedgerun 9.9.9",
        "$ test -e nothing.yaml",
    ],
)
def test_a_readme_that_promises_too_much_is_caught(tmp_path: Path, text: str) -> None:
    path = tmp_path / "README.md"
    path.write_text(f"```console\n{text}\n```\n")
    with reader(tmp_path, within_s=0.5) as one, pytest.raises(AssertionError):
        one.read(path)


def test_shape_is_compared_and_not_time() -> None:
    told = "GET      a.test   /      site/a/x   site/b   200      1       4.2     note"
    assert not lacking([told], [told.replace("4.2", "17.9").replace("1  ", "5  ")])
    assert lacking([told], [told.replace("200", "503")])
    assert lacking([told], [told.replace("site/a/x", "site/a/y")])
    assert not lacking(["a ..."], ["a b c"])
    assert lacking(["a b"], ["a b c"])
