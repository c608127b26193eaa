"""What is watched of a running server: memory, lag, lines in logs, and unfinished work."""

from __future__ import annotations

import re
import urllib.request
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import attrs

_LEVEL = re.compile(r" - (WARNING|ERROR|CRITICAL) - ")
_SAMPLE = re.compile(r"^(synapse_lite_\w+)(?:\{(.*)\})? (\S+)$")
_KEPT_LINES = 20

MUST_BE_ZERO = (
    "synapse_lite_replication_lag_rows",
    "synapse_lite_replication_pending_commands",
    "synapse_lite_http_in_flight",
    "synapse_lite_http_forwarding_in_flight",
    "synapse_lite_sync_waiting",
)
"""Metrics that show work under way: all are 0 a moment after the last request."""

WORK_TABLES = ("background_updates", "account_tasks")
"""Tables whose rows are work that is still to be done."""


@attrs.frozen
class MemorySample:
    """Bytes by process, so many seconds after the start."""

    seconds: float
    bytes: Mapping[str, int]


@attrs.frozen
class Growth:
    """The memory of a process at the begin and at the end of a time, in bytes."""

    process: str
    begin: float
    end: float

    @property
    def share(self) -> float:
        """What it grew by, as a part of what it was."""
        return self.end / self.begin - 1


def growth(
    samples: Sequence[MemorySample], window_seconds: float, edge_seconds: float
) -> list[Growth]:
    """How each process grew in the last so many seconds: the mean of the first few seconds of
    the window against that of its last few. Raises ValueError when there are too few samples.
    """
    if not samples or samples[-1].seconds - samples[0].seconds < edge_seconds * 2:
        raise ValueError("too few samples to tell growth")
    last = samples[-1].seconds
    first = max(samples[0].seconds, last - window_seconds)
    begin = [s for s in samples if first <= s.seconds <= first + edge_seconds]
    end = [s for s in samples if s.seconds >= last - edge_seconds]
    return [Growth(name, _mean(begin, name), _mean(end, name)) for name in samples[-1].bytes]


def _mean(samples: Sequence[MemorySample], name: str) -> float:
    values = [sample.bytes[name] for sample in samples]
    return sum(values) / len(values)


@attrs.frozen
class LogLines:
    """How many lines of a level a log has, and the first of them that are not warnings."""

    counts: Mapping[str, int]
    errors: Sequence[str]
    warnings: Sequence[str]


def lines_of_log(path: Path) -> LogLines:
    """Warnings and errors in a log of ours."""
    counts: Counter[str] = Counter()
    errors: list[str] = []
    warnings: list[str] = []
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            found = _LEVEL.search(line)
            if found is not None:
                counts[found[1]] += 1
                kept = warnings if found[1] == "WARNING" else errors
                if len(kept) < _KEPT_LINES:
                    kept.append(line.rstrip())
    return LogLines(counts, errors, warnings)


def metrics(url: str) -> dict[str, float]:
    """The metrics of a process by name and labels, as they stand in its answer."""
    with urllib.request.urlopen(f"{url}/_synapse/metrics", timeout=30) as answer:
        return parse_metrics(answer.read().decode("utf-8").splitlines())


def parse_metrics(lines: Iterable[str]) -> dict[str, float]:
    """Our metrics in the text form of Prometheus."""
    found = (_SAMPLE.match(line) for line in lines)
    return {f"{m[1]}{{{m[2] or ''}}}": float(m[3]) for m in found if m is not None}


def under_way(values: Mapping[str, float]) -> list[str]:
    """Which metrics show work under way; the request that asks is not counted."""
    return [
        f"{name} {value:g}"
        for name, value in values.items()
        if name.partition("{")[0] in MUST_BE_ZERO and value and 'servlet="Metrics"' not in name
    ]
