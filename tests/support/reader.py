"""Somebody who reads the README: files are written, commands are typed, and what they print is compared line by line.

Compared is the shape: rules, origins, statuses, columns, messages. What differs from run to run (times, ids, addresses
and ports of origins, how a random split fell) is made equal on both sides first. The port 8080 is a free one in truth.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from support.markdown import Block, Step, blocks, steps
from support.poll import eventually_sync
from support.ports import free_port

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
IN_A_CLUSTER = "In a cluster"  # the chapter that needs one
WITHIN_S = 60.0  # from saving a file to what a command says of it
COMMAND_S = 120.0

SERVES = re.compile(r"edgerun local (?!.*--tour)|kubectl .*port-forward ")
ONCE = re.compile(r"make |sed -i|edgerun local|kind |helm |kubectl (.* )?delete ")

# One request in ten goes there, so that one run in 67 has no such line.
LUCK = "shop/shop/pages shop/web-next"

DIFFERS = (
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "ID"),
    (re.compile(r"http://\d+\.\d+\.\d+\.\d+:\d+"), "ADDRESS"),
    (re.compile(r"\b\d+(\.\d+)? ms\b"), "N ms"),
    (re.compile(r"(\b[1-5]\d\d) +\d+ +\d+\.\d\b"), r"\1 TIMES MS"),
    (re.compile(r"\b(\d+[smhd])+$| \d+[smhd](?= {3})"), "AGE"),
    (re.compile(r"[ \t]+"), " "),
)


@dataclass(slots=True)
class Reader:
    """Somebody who does what the README says, in a folder of his own; types his commands `there`, if not in it.

    `programs` are those that he has beside `edgerun`, `environment` is what he has exported.
    """

    folder: Path
    within_s: float = WITHIN_S
    there: Path | None = None
    programs: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=lambda: {"8080": free_port(), "8081": free_port()})
    serving: list[subprocess.Popen[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.folder / ".venv").mkdir()
        (self.folder / ".venv" / "bin").symlink_to(BIN)

    def read(self, path: Path, chapters: Callable[[str], bool] = bool) -> None:
        """Do it all, in the chapters that are wanted."""
        for block in blocks(path):
            if chapters(block.chapter):
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
        if SERVES.match(step.command):
            log = self.start(step)
            eventually_sync(lambda: self.agree(step, log.read_text()), within_s=self.within_s, what=step.where)
        elif ONCE.match(step.command):
            self.agree(step, self.run(step))
        else:
            eventually_sync(
                lambda: self.agree(step, self.run(step)), within_s=self.within_s, step_s=0.1, what=step.where
            )

    def start(self, step: Step) -> Path:
        log = self.folder / f"served-{len(self.serving)}.log"
        command = f"exec {self.own_ports(step.command)}"
        if step.command.startswith("edgerun local"):
            command += f" --port {self.ports['8080']}"
        with log.open("w") as file:
            process = subprocess.Popen(
                ["bash", "-c", command],
                cwd=self.there or self.folder,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=file,
                text=True,
            )
        self.serving.append(process)
        return log

    def run(self, step: Step) -> str:
        command, folder = self.own_ports(step.command), self.there or self.folder
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
            timeout=COMMAND_S,
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
            text = re.sub(rf"(:|--port |port-forward \S+ ){told}\b", rf"\g<1>{own}", text)
        return text

    @property
    def env(self) -> dict[str, str]:
        path = [str(one) for one in (self.programs, BIN) if one]
        return {**os.environ, **self.environment, "PATH": os.pathsep.join([*path, os.environ["PATH"]])}


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
def reading(one: Reader) -> Iterator[Reader]:
    """The reader, who ends what he has started when the block is left."""
    try:
        yield one
    finally:
        for process in one.serving:
            process.send_signal(signal.SIGTERM)
        for process in one.serving:
            process.wait(20)
