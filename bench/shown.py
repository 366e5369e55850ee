"""What has been measured, as tables. Nothing is computed here but medians and ratios within one run."""

from statistics import median
from typing import Any

from edgerun.cli.tables import table

_STEPS = {
    "rotations": ("told_ms", "guards_ms", "handed_ms", "edges_ms", "cpu_ms", "guard_bytes", "edge_bytes"),
    "revocations": (
        *("handed_ms", "edges_ms", "told_ms", "guards_ms", "first_guard_ms", "last_accepted_ms"),
        *("cpu_ms", "guard_bytes", "edge_bytes"),
    ),
}
_ASKED = {"forward": "IT IS ASKED", "answer": "THE ANSWER", "all": "ALL"}


def throughput(rows: list[dict[str, Any]]) -> str:
    header = ("CONNECTIONS", "", "REQUESTS/S", "P50 MS", "P99 MS", "")
    lines = []
    for row in rows:
        lines.append((str(row["connections"]), "direct", *sample(row["direct"]), ""))
        lines.append(("", "edge", *sample(row["edge"]), compared(row)))
    return table(header, lines)


def compared(row: dict[str, Any]) -> str:
    ratios = row["ratios"]
    spread = f"ratio {median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    cpu = ", ".join(f"{name} {spent:.0f} µs" for name, spent in row["cpu_us"].items())
    return f"{spread}, p50 + {row['added_p50_ms']:.3f} ms; CPU a request: {cpu}"


def sample(values: dict[str, float]) -> tuple[str, str, str]:
    return f"{values['requests_per_s']:.0f}", f"{values['p50_ms']:.3f}", f"{values['p99_ms']:.3f}"


def guard(found: dict[str, Any]) -> str:
    header = (
        "CONNECTIONS",
        "",
        "",
        "REQUESTS/S",
        "P50 MS",
        "P95 MS",
        "P99 MS",
        "CPU: EDGE µS",
        "GUARD µS",
        "CONTROL PLANE µS",
    )
    lines = []
    for row in found["rows"]:
        lines.append(
            (row["kind"], str(row["connections"]), "without", *ranks(row["control"]), *spent(row["control_us"]))
        )
        lines.append(("", "", "guarded", *ranks(row["guarded"]), *spent(row["guarded_us"])))
        ratio = f"x {median(row['ratios']):.2f} ({row['ratios'][0]:.2f} to {row['ratios'][-1]:.2f})"
        more = {name: row["guarded_us"][name] - us for name, us in row["control_us"].items()}
        times = (
            f"{ms:+.3f} (x {row['guarded'][rank] / row['control'][rank]:.1f})" for rank, ms in row["added_ms"].items()
        )
        lines.append(("", "", "added", ratio, *times, *spent(more, "+")))
    memory = [
        (when, *(f"{mib[name]:.1f}" for name in ("rss", "pss", "private"))) for when, mib in found["memory"].items()
    ]
    return f"{table(header, lines)}\n\n{table(('GUARD', 'RSS MIB', 'PSS MIB', 'PRIVATE MIB'), memory)}"


def ranks(values: dict[str, float]) -> tuple[str, ...]:
    return f"{values['requests_per_s']:.0f}", *(f"{values[rank]:.3f}" for rank in ("p50_ms", "p95_ms", "p99_ms"))


def spent(values: dict[str, float], sign: str = "") -> tuple[str, ...]:
    return tuple(f"{values[name]:{sign}.0f}" for name in ("edge", "guard", "control plane"))


def signing(found: dict[str, Any]) -> str:
    header = ("", "NUMBER", "CPU MS", "BEST", "A SECOND OF CPU")
    names = {"tokens": "tokens_s", "of which signatures": "signatures_s", "certificates": "certificates_s"}
    rows = []
    for title, name in names.items():
        number, times = found["certificates" if title == "certificates" else "tokens"], found[name]
        ms = (f"{1000 * times[which]:.1f}" for which in ("median", "best"))
        rows.append((title, str(number), *ms, f"{number / times['median']:.0f}"))
    return table(header, rows)


def keys(found: dict[str, Any]) -> str:
    """What `rotation` has measured; times count from the moment at which the keys are changed."""
    rows = [
        (title, name.replace("_", " "), *spread([one[name] for one in found[title]]))
        for title, names in _STEPS.items()
        for name in names
    ]
    served = sum(one["requests"] for title in _STEPS for one in found[title])
    said = f"requests through the edge meanwhile: {served:.0f}, all served"
    memory = {f"{name} MiB": [one[name] for one in found["memory_mib"]] for name in ("rss", "pss", "private")}
    guards = [(name, *spread(values)) for name, values in {"start ms": found["start_ms"], **memory}.items()]
    header = ("BEST", "MEDIAN", "P95", "MAX")
    return "\n".join((table(("", "", *header), rows), said, "", table(("A GUARD", *header), guards)))


def cold(rows: list[dict[str, Any]]) -> str:
    parts = {"start": "UNTIL THE PROCESS BEGINS", "listen": "IT LISTENS", **_ASKED}
    return starts(rows, parts, digits=1)


def pods(rows: list[dict[str, Any]]) -> str:
    parts = {
        "write": "A POD IS WANTED",
        "start": "ITS PROCESS BEGINS",
        "listen": "IT LISTENS",
        "address": "IT IS FOUND",
    }
    return starts(rows, {**parts, **_ASKED}, digits=0)


def starts(rows: list[dict[str, Any]], parts: dict[str, str], *, digits: int) -> str:
    lines = []
    for row in rows:
        times = (f"{row[part]['p50_ms']:.{digits}f} / {row[part]['p95_ms']:.{digits}f}" for part in parts)
        lines.append((str(row["at_once"]), row["kind"], *times, f"x {row['ratio']:.2f}"))
    return table(("AT ONCE", "", *parts.values(), "TO BY HAND"), lines)


def fixed_rate(rows: list[dict[str, Any]]) -> str:
    lines = [
        (row["way"], *(f"{row[rank]:.3f}" for rank in row["added"]), *(f"{ms:+.3f}" for ms in row["added"].values()))
        for row in rows
    ]
    return table(("", "P50 MS", "P95 MS", "P99 MS", "ADDED P50", "P95", "P99"), lines)


def spread(values: list[float]) -> tuple[str, ...]:
    ranked = sorted(values)
    p95 = ranked[round(0.95 * (len(ranked) - 1))]
    return tuple(f"{value:.0f}" for value in (ranked[0], median(ranked), p95, ranked[-1]))


def reaction(found: dict[str, Any]) -> str:
    row = (str(found["changes"]), *(f"{found[name]:.0f}" for name in ("p50_ms", "p95_ms", "max_ms")))
    return table(("CHANGES", "P50 MS", "P95 MS", "MAX MS"), [row])


def rebuild(rows: list[dict[str, Any]]) -> str:
    header = ("ROUTES", "FILES READ MS", "FIRST REBUILD MS", "AFTER AN EDIT MS", "SLOWEST MS", "RSS MIB", "EMPTY MIB")
    names = ("load_ms", "first_ms", "rebuild_ms", "slowest_ms", "rss_mib", "rss_before_mib")
    return table(header, [(str(row["routes"]), *(f"{row[name]:.1f}" for name in names)) for row in rows])


def cluster(found: dict[str, Any]) -> str:
    names = ("control_s", "applied_s", "p50_s", "total_s", "cpu_s", "rss_before_mib", "rss_mib", "peak_mib")
    times = ("CONTROL S", "APPLIED S", "P50 S", "ALL S", "CPU S")
    header = ("ROUTES", "ORIGINS", *times, "RSS BEFORE", "RSS MIB", "PEAK MIB")
    numbers = [(str(found["routes"]), str(found["origins"]), *(f"{found[name]:.1f}" for name in names))]
    of_origins = ("originservices", "deployments", "configmaps", "networkpolicies")
    count = {"edgeroutes": found["routes"]} | dict.fromkeys(of_origins, found["origins"])
    writes = [
        (what, str(made), f"{made / count[kind]:.2f}" if (kind := what.split()[1].partition("/")[0]) in count else "")
        for what, made in found["writes"].items()
    ]
    rest = f"at rest, {found['rest_s']} s: {sum(found['rest_writes'].values())} writes, CPU {found['rest_cpu_s']:.1f} s"
    compared = f"all programmed / control: {found['total_s'] / found['control_s']:.1f}"
    return "\n".join((table(header, numbers), compared, table(("WRITES", "NUMBER", "AN OBJECT"), writes), rest))
