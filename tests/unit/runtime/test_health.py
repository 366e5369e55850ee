"""What /healthz and /readyz say, of what is true."""

from dataclasses import replace

import pytest

from edgerun.runtime.health import PERIODS, STUCK_S, Health, alive, ready
from edgerun.vitals import Vitals

WELL = Vitals(uptime_s=1000, synced=True, sweep_age_s=12, tried_age_s=12)


def failing(health: Health) -> list[str]:
    return [check.name for check in health.checks if not check.ok]


def test_a_follower_that_knows_everything_is_ready_and_says_that_it_stands_by() -> None:
    assert ready(WELL).ok
    assert str(ready(WELL)) == (
        "[+] synced: everything was listed\n"
        "[+] sweep: last succeeded 12 s ago, at most 180 s\n"
        "[+] xds: does not lead, stands by\n"
        "ok\n"
    )


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"synced": False, "sweep_age_s": None}, ["synced", "sweep"]),
        ({"sweep_age_s": PERIODS * 60.0}, ["sweep"]),
        ({"sweep_age_s": PERIODS * 60.0 - 0.1}, []),
        ({"leading": True}, ["xds"]),
        ({"leading": True, "listening": True, "proxies": {"default": 2}}, []),
        ({"sweep_period_s": 3.0}, ["sweep"]),
    ],
)
def test_readiness_fails_for_what_is_missing(change: dict[str, object], wrong: list[str]) -> None:
    assert failing(ready(replace(WELL, **change))) == wrong  # type: ignore[arg-type]


def test_an_api_server_that_is_gone_makes_a_replica_unready_but_never_unhealthy() -> None:
    outage = replace(WELL, sweep_age_s=7200, tried_age_s=30)
    assert not ready(outage).ok
    assert alive(outage).ok


def test_sweeps_that_neither_succeed_nor_fail_mean_that_the_process_hangs() -> None:
    assert failing(alive(replace(WELL, tried_age_s=STUCK_S))) == ["sweep"]
    assert alive(replace(WELL, tried_age_s=STUCK_S - 1)).ok


def test_a_dead_thread_of_the_watches_makes_the_process_unhealthy() -> None:
    assert failing(alive(replace(WELL, watching=False))) == ["watch"]


def test_a_process_that_has_just_begun_is_alive_and_not_ready() -> None:
    begun = Vitals(uptime_s=0.2)
    assert alive(begun).ok
    assert "none yet, after 0 s" in str(ready(begun))
