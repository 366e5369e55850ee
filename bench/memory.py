"""What a process holds of the machine's memory, in MiB. Linux only."""

from pathlib import Path


def mib(pid: int) -> dict[str, float]:
    """`rss` is all of it; `private` is nobody else's, and what one more process like it takes; `pss` its fair share."""
    lines = (line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines())
    found = {words[0].rstrip(":"): int(words[1]) / 1024 for words in lines if words[-1] == "kB"}
    return {"rss": found["Rss"], "pss": found["Pss"], "private": found["Private_Clean"] + found["Private_Dirty"]}
