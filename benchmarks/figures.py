"""What was measured, and the arithmetic over it: no processes, no clocks."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import attrs


@attrs.frozen(kw_only=True)
class Sample:
    """One run of one operation on one server.

    `cpu_seconds` are of all processes of the server, `database_cpu_seconds` of PostgreSQL's
    backends, `latencies` in seconds, `grown_bytes` what the database grew by.
    """

    count: int
    cpu_seconds: float
    database_cpu_seconds: float = 0.0
    latencies: Sequence[float]
    grown_bytes: int = 0


@attrs.frozen(kw_only=True)
class Figures:
    """What an operation costs: the median of its runs, and the latencies of all runs together.

    The least and the most are of the server and PostgreSQL together.
    """

    cpu_ms: float
    cpu_ms_least: float
    cpu_ms_most: float
    database_cpu_ms: float
    p50_ms: float
    p99_ms: float
    bytes_each: float

    @property
    def all_cpu_ms(self) -> float:
        """That of PostgreSQL as well."""
        return self.cpu_ms + self.database_cpu_ms


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of the values do not exceed (nearest rank).

    Raises ValueError when there are no values, or the percentage is not in (0, 100].
    """
    if not values or not 0 < percent <= 100:
        raise ValueError("a percentile needs values, and a percentage above 0 and up to 100")
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]


def figures_of(samples: Sequence[Sample]) -> Figures:
    """Figures of the runs of one operation. Raises ValueError when there are none."""
    if not samples:
        raise ValueError("an operation that was not run has no figures")
    cpu = [sample.cpu_seconds / sample.count * 1000 for sample in samples]
    whole = [
        (sample.cpu_seconds + sample.database_cpu_seconds) / sample.count * 1000
        for sample in samples
    ]
    latencies = [latency for sample in samples for latency in sample.latencies]
    return Figures(
        cpu_ms=statistics.median(cpu),
        cpu_ms_least=min(whole),
        cpu_ms_most=max(whole),
        database_cpu_ms=statistics.median(
            sample.database_cpu_seconds / sample.count * 1000 for sample in samples
        ),
        p50_ms=percentile(latencies, 50) * 1000,
        p99_ms=percentile(latencies, 99) * 1000,
        bytes_each=statistics.median(sample.grown_bytes / sample.count for sample in samples),
    )


def ratio(ours: float, theirs: float) -> float | None:
    """How much of theirs ours is; nothing when theirs was too small to be measured."""
    return ours / theirs if theirs > 0 else None
