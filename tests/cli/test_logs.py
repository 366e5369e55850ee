"""What the control plane logs can be read by people and by programs, and by nobody for a token."""

import io
import json
import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from edgerun.cli.logs import Format, set_up

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJl"


class Log:
    def __init__(self) -> None:
        self.stream = io.StringIO()

    def set_up(self, format: Format, level: str = "info") -> None:
        set_up(format, level, self.stream)

    @property
    def lines(self) -> list[str]:
        return self.stream.getvalue().splitlines()

    @property
    def only(self) -> dict[str, Any]:
        (line,) = self.lines
        return dict(json.loads(line))


@pytest.fixture
def log() -> Iterator[Log]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {
        name: logging.getLogger(name).level for name in ("edgerun", "kopf", "aiohttp", "asyncio", "aiohttp.access")
    }
    yield Log()
    logging.captureWarnings(False)
    root.handlers, root.level = handlers, level
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def test_json_has_a_line_with_the_same_four_fields_for_each_record(log: Log) -> None:
    log.set_up("json")
    logging.getLogger("edgerun.xds").info("proxy %s connected", "a")
    said = log.only
    assert list(said) == ["time", "level", "logger", "message"]
    assert (said["level"], said["logger"], said["message"]) == ("info", "edgerun.xds", "proxy a connected")
    assert said["time"].endswith("Z")
    assert datetime.fromisoformat(said["time"]).tzinfo


def test_extra_fields_are_fields_and_cannot_take_the_place_of_ours(log: Log) -> None:
    log.set_up("json")
    logging.getLogger("edgerun").warning(
        "no", extra={"kind": "EdgeRoute", "at": {"x": object}, "level": "fine", "n": 3}
    )
    said = log.only
    assert (said["kind"], said["n"], said["level"]) == ("EdgeRoute", 3, "warning")
    assert "object" in said["at"]["x"]


@pytest.mark.parametrize("format", ["json", "text"])
def test_nobody_can_write_a_line_of_their_own(log: Log, format: Format) -> None:
    log.set_up(format)
    logging.getLogger("edgerun").info("a proxy says: %s", "x\n2026 ERROR edgerun: forged\x1b[31m\u2028")
    assert len(log.stream.getvalue().split("\n")) == 2
    assert "\x1b" not in log.stream.getvalue()


def test_an_exception_is_a_field_of_its_line(log: Log) -> None:
    log.set_up("json")
    try:
        raise ValueError("wrong")
    except ValueError:
        logging.getLogger("edgerun").exception("it failed")
    assert log.only["exception"].endswith("ValueError: wrong")


def test_text_shows_fields_and_the_traceback_below_the_line(log: Log) -> None:
    log.set_up("text")
    try:
        raise ValueError("wrong")
    except ValueError:
        logging.getLogger("edgerun").exception("it failed", extra={"kind": "EdgeRoute"})
    assert log.lines[0].endswith(" ERROR edgerun: it failed kind=EdgeRoute")
    assert log.lines[1] == "  Traceback (most recent call last):"


@pytest.mark.parametrize("format", ["json", "text"])
def test_tokens_are_blotted_out_wherever_they_stand(log: Log, format: Format) -> None:
    log.set_up(format)
    logger = logging.getLogger("edgerun")
    logger.info("authorization: Bearer abcdef0123456789", extra={"token": TOKEN})
    try:
        raise ValueError(TOKEN)
    except ValueError:
        logger.exception("refused %s", TOKEN)
    shown = log.stream.getvalue()
    assert TOKEN not in shown
    assert "abcdef0123456789" not in shown
    assert "authorization: [redacted]" in shown


def test_libraries_are_heard_only_when_something_is_wrong(log: Log) -> None:
    log.set_up("json", "debug")
    for name in ("kopf.objects", "kopf._core.reactor.running", "aiohttp.access", "aiohttp.client", "asyncio", "other"):
        logging.getLogger(name).info("chatter")
    logging.getLogger("aiohttp.access").error("GET /metrics")
    logging.getLogger("edgerun.runtime").debug("ours")
    logging.getLogger("kopf.reactor").error("the watch failed")
    assert [json.loads(line)["message"] for line in log.lines] == ["ours", "the watch failed"]


def test_the_level_is_ours(log: Log) -> None:
    log.set_up("text", "warning")
    logging.getLogger("edgerun.xds").info("quiet")
    assert log.lines == []
