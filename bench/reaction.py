"""From saving a file to the first changed answer through the edge: inotify, hold-off, rebuild, xDS and Envoy, all real.

One keep-alive connection asks without pause, so what is measured ends with an answer, not with an acknowledgement.
Trap: the time of one request, well below a millisecond here, is the resolution.
"""

import http.client
import time
from statistics import median
from typing import Any

import yaml
from documents import document
from instance import Instance, serving

CHANGES = 30
HOST = "bench.localhost"
OTHERS = 20  # routes that stay as they are
_PAUSES_S = (0.35, 0.5, 0.41)  # longer than the hold-off, and in no step with Envoy's or the watcher's timers
_PATIENCE_S = 10.0


def measured() -> dict[str, Any]:
    with serving(others()) as instance:
        instance.save("changing.yaml", changing(0))
        instance.url("EdgeRoute", "changing")
        connection = http.client.HTTPConnection("127.0.0.1", instance.port, timeout=_PATIENCE_S)
        times_ms = [changed_ms(instance, connection, number) for number in range(1, CHANGES + 1)]
        connection.close()
    ranked = sorted(times_ms)
    p95 = ranked[round(0.95 * (len(ranked) - 1))]
    return {"changes": CHANGES, "p50_ms": median(ranked), "p95_ms": p95, "max_ms": ranked[-1], "all_ms": times_ms}


def others() -> str:
    return yaml.safe_dump_all([route(f"other-{number}", f"other-{number}.localhost", "-") for number in range(OTHERS)])


def changing(number: int) -> str:
    return yaml.safe_dump(route("changing", HOST, str(number)))


def route(name: str, host: str, body: str) -> dict[str, Any]:
    return document("EdgeRoute", name, {"hostnames": [host], "rules": [{"respond": {"body": body}}]})


def changed_ms(instance: Instance, connection: http.client.HTTPConnection, number: int) -> float:
    time.sleep(_PAUSES_S[number % len(_PAUSES_S)])
    text = changing(number)
    started = time.perf_counter()
    instance.save("changing.yaml", text)
    while answer(connection) != str(number):
        if time.perf_counter() - started > _PATIENCE_S:
            raise RuntimeError(
                f"change {number} did not arrive within {_PATIENCE_S} s; edgerun wrote:\n{instance.log()}"
            )
    return (time.perf_counter() - started) * 1000


def answer(connection: http.client.HTTPConnection) -> str:
    connection.request("GET", "/", headers={"Host": HOST})
    return connection.getresponse().read().decode()
