"""A long mixed load: `python -m benchmarks.soak --help`.

Ends with 1 when memory grew in the last ten minutes, when a request failed or a log has an error,
and when work is left over at the end. Caches are made small, so that they are full long before.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.integration.deployment import POSTGRES, SQLITE

from .environment import NGINX, check_programs, has_postgres, run_with_postgres
from .load import Load
from .meters import pss_bytes
from .report import MIB, table
from .servers import WORKERS, Running, synapse_lite
from .watch import (
    WORK_TABLES,
    Growth,
    LogLines,
    MemorySample,
    growth,
    lines_of_log,
    metrics,
    under_way,
)

SAMPLE_SECONDS = 15.0
WINDOW_SECONDS = 600.0
EDGE_SECONDS = 90.0
MOST_GROWTH = 0.05
REST_SECONDS = 60.0

_SMALL_CACHES = {"caches": {"total_size": "8M"}, "enable_metrics": True}


async def soak(
    server: Running, load: Load, seconds: float, show: bool
) -> tuple[list[MemorySample], list[str]]:
    """Make the load and watch. Returns the samples, and what is left over at the end."""
    await load.prepare()
    say(f"prepared; the load runs for {seconds / 60:.0f} minutes")
    samples: list[MemorySample] = []
    watching = asyncio.create_task(_watch(server, load, samples, show))
    await load.run(seconds)
    watching.cancel()
    deadline = time.monotonic() + REST_SECONDS
    while True:
        left = await asyncio.to_thread(unfinished, server)
        if not left or time.monotonic() > deadline:
            load.world.close()
            return samples, left
        await asyncio.sleep(1.0)


async def _watch(server: Running, load: Load, samples: list[MemorySample], show: bool) -> None:
    began = time.monotonic()
    while True:
        sizes = {name: pss_bytes(pid) for name, pid in server.processes.items()}
        samples.append(MemorySample(time.monotonic() - began, sizes))
        if show:
            lag = await asyncio.to_thread(_lag_ms, server)
            memory = ", ".join(f"{name} {size / MIB:.1f}" for name, size in sizes.items())
            done = sum(load.done.values())
            say(f"{samples[-1].seconds:6.0f} s: {memory} MiB; {done:,} done; lag {lag:.0f} ms")
        await asyncio.sleep(SAMPLE_SECONDS)


def _lag_ms(server: Running) -> float:
    """How far the farthest worker is behind."""
    values = [
        value
        for name, url in server.urls.items()
        for metric, value in metrics(url).items()
        if metric.startswith("synapse_lite_replication_lag_ms")
    ]
    return max(values, default=0.0)


def unfinished(server: Running) -> list[str]:
    """Everything that a server still has to do, by its metrics and its tables."""
    left = [
        f"{name}: {what}" for name, url in server.urls.items() for what in under_way(metrics(url))
    ]
    for work in WORK_TABLES:
        rows = server.database.rows(work)
        if rows:
            left.append(f"{rows} rows in {work}")
    return left


def verdict(
    grown: Sequence[Growth], load: Load, logs: dict[str, LogLines], left: Sequence[str]
) -> list[str]:
    """Why the server did not pass; nothing when it did."""
    reasons = [
        f"{one.process} grew by {one.share:.1%}" for one in grown if one.share >= MOST_GROWTH
    ]
    reasons += [f"{count} × {name} failed" for name, count in load.failed.items()]
    for name, lines in logs.items():
        errors = sum(count for level, count in lines.counts.items() if level != "WARNING")
        if errors:
            reasons.append(f"{errors} errors in the log of {name}")
    return reasons + [f"left over: {what}" for what in left]


def say(text: str) -> None:
    """Progress goes beside the result."""
    print(text, file=sys.stderr, flush=True)


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--users", type=int, default=300)
    parser.add_argument("--per-second", type=float, default=25.0, help="actions beside /sync")
    parser.add_argument("--database", choices=(SQLITE, POSTGRES), default=SQLITE)
    parser.add_argument(
        "--workers", nargs="*", default=list(WORKERS), metavar="KIND", help="none: master alone"
    )
    parser.add_argument("--quiet", action="store_true", help="show no samples meanwhile")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the result there")
    return parser


def main() -> int:
    """Run, print, judge."""
    options = arguments().parse_args()
    if options.workers:
        check_programs([NGINX])
    if options.database == POSTGRES and not has_postgres():
        return run_with_postgres("benchmarks.soak", sys.argv[1:])
    with synapse_lite(options.database, options.workers, extra=_SMALL_CACHES) as server:
        load = Load(server.address, options.users, options.per_second)
        seconds = options.minutes * 60
        samples, left = asyncio.run(soak(server, load, seconds, not options.quiet))
        logs = {name: lines_of_log(path) for name, path in server.logs.items()}
    window = min(WINDOW_SECONDS, seconds / 2)
    grown = growth(samples, window, min(EDGE_SECONDS, window / 4))
    reasons = verdict(grown, load, logs, left)
    text = as_text(samples, grown, window, load, logs, reasons)
    print(text)
    if options.markdown is not None:
        options.markdown.write_text(text, "utf-8")
    return 1 if reasons else 0


def as_text(
    samples: Sequence[MemorySample],
    grown: Sequence[Growth],
    window: float,
    load: Load,
    logs: dict[str, LogLines],
    reasons: Sequence[str],
) -> str:
    """The result, in Markdown."""
    heads = ["process", "first MiB", "most MiB", "last MiB", f"growth, last {window / 60:.0f} min"]
    heads += ["warnings", "errors"]
    rows = []
    for one in grown:
        sizes = [sample.bytes[one.process] / MIB for sample in samples]
        counts = logs[one.process].counts
        errors = sum(count for level, count in counts.items() if level != "WARNING")
        cells = [f"{size:.1f}" for size in (sizes[0], max(sizes), sizes[-1])]
        rows.append([one.process, *cells, f"{one.share:+.1%}"])
        rows[-1] += [str(counts.get("WARNING", 0)), str(errors)]
    done = ", ".join(f"{count:,} × {name}" for name, count in load.done.most_common())
    parts = [table(heads, rows), f"Done: {done}. Left out, as the user was busy: {load.skipped:,}."]
    for name, lines in logs.items():
        parts += [f"{name}: `{line[:300]}`" for line in (*lines.errors[:5], *lines.warnings[:5])]
    parts += [f"Failed: `{error[:300]}`" for error in load.errors]
    parts.append(f"NOT PASSED: {'; '.join(reasons)}." if reasons else "Passed.")
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.exit(main())
