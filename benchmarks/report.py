"""Prints figures: a table for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from .figures import Figures, ratio
from .work import OPERATIONS

MIB = 1024 * 1024


@attrs.frozen(kw_only=True)
class ServerReport:
    """All that was measured of one server. Memory is the proportional set size in bytes."""

    name: str
    version: str
    memory_idle: int
    memory_after: int
    operations: Mapping[str, Figures]


def as_json(reports: Sequence[ServerReport], about: Mapping[str, object]) -> dict[str, Any]:
    """Everything, for programs."""
    return {**about, "servers": [attrs.asdict(report) for report in reports]}


def as_table(reports: Sequence[ServerReport]) -> str:
    """A table in Markdown: a row for each operation; with two servers also their ratios."""
    heads = ["operation"]
    for report in reports:
        heads += [f"{report.name} CPU ms", "least–most", "database CPU ms", "p50 ms", "p99 ms"]
        heads.append("bytes each")
    if len(reports) == 2:
        heads += ["CPU ratio", "p50 ratio", "bytes ratio"]
    rows = [_row(name, reports) for name in OPERATIONS if name in reports[0].operations]
    lines = [heads, ["---", *["--:"] * (len(heads) - 1)], *rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return "\n\n".join([table, *(_memory(report) for report in reports), *_memory_ratio(reports)])


def _row(name: str, reports: Sequence[ServerReport]) -> list[str]:
    operation = OPERATIONS[name]
    cells = [operation.says]
    for report in reports:
        found = report.operations[name]
        cells += [
            number(found.cpu_ms),
            f"{number(found.cpu_ms_least)}–{number(found.cpu_ms_most)}",
            number(found.database_cpu_ms),
            number(found.p50_ms),
            number(found.p99_ms),
            f"{found.bytes_each:,.0f}" if operation.grows else "",
        ]
    if len(reports) == 2:
        ours, theirs = (report.operations[name] for report in reports)
        cells.append(
            share(ratio(ours.cpu_ms + ours.database_cpu_ms, theirs.cpu_ms + theirs.database_cpu_ms))
        )
        cells.append(share(ratio(ours.p50_ms, theirs.p50_ms)))
        cells.append(share(ratio(ours.bytes_each, theirs.bytes_each)) if operation.grows else "")
    return cells


def _memory(report: ServerReport) -> str:
    return (
        f"{report.name} {report.version}: {report.memory_idle / MIB:.0f} MiB of memory (PSS)"
        f" before, {report.memory_after / MIB:.0f} MiB after"
    )


def _memory_ratio(reports: Sequence[ServerReport]) -> list[str]:
    if len(reports) != 2:
        return []
    ours, theirs = reports
    before = share(ratio(ours.memory_idle, theirs.memory_idle))
    after = share(ratio(ours.memory_after, theirs.memory_after))
    return [f"memory ratio: {before} before, {after} after"]


def number(value: float) -> str:
    """Three digits are as much as such a measurement is worth."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def share(value: float | None) -> str:
    """A ratio as a fraction of one."""
    return "–" if value is None else f"{value:.2f}"
