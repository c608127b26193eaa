"""Turns what was measured into tables in Markdown, and into JSON for programs."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from .figures import Figures, ratio
from .work import OPERATIONS

MIB = 1024 * 1024
BEGIN = "<!-- figures: begin -->"
END = "<!-- figures: end -->"


@attrs.frozen(kw_only=True)
class ServerReport:
    """All that was measured of one server.

    Memory is the proportional set size of each process in bytes. `grown_bytes` is what the
    database grew by in the whole run, in which `events` events were stored. Operations that
    failed are not among `operations`.
    """

    name: str
    version: str
    memory_idle: Mapping[str, int]
    memory_after: Mapping[str, int]
    grown_bytes: int
    events: int
    operations: Mapping[str, Figures]

    @property
    def bytes_per_event(self) -> float:
        """Everything in the database that grew, shared out among the events."""
        return self.grown_bytes / self.events if self.events else 0.0


@attrs.frozen(kw_only=True)
class SettingReport:
    """The servers that ran side by side, and how: `says` is the heading."""

    says: str
    servers: Sequence[ServerReport]


def as_json(settings: Sequence[SettingReport], about: Mapping[str, object]) -> dict[str, Any]:
    """Everything, for programs."""
    return {**about, "settings": [attrs.asdict(setting) for setting in settings]}


def as_markdown(settings: Sequence[SettingReport], about: Sequence[str]) -> str:
    """All tables: the ratios of all settings first, then each setting."""
    parts = list(about)
    compared = [setting for setting in settings if len(setting.servers) == 2]
    if len(compared) > 1:
        parts += ["### CPU of synapse_lite as a part of Synapse's", _ratios(compared)]
    for setting in settings:
        parts += [f"### {setting.says}", _operations(setting.servers), _memory(setting.servers)]
        parts.append("\n".join(_bytes_lines(setting.servers)))
    return "\n\n".join(parts) + "\n"


def write_markdown(path: Path, text: str) -> None:
    """Put the text between the two marks of a page; a file without them becomes the text."""
    page = path.read_text("utf-8") if path.exists() else ""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if begin and end:
        text = f"{before}{begin}\n\n{text}\n{end}{after}"
    path.write_text(text, "utf-8")


def machine() -> str:
    """The machine in one line."""
    model = _value_in("/proc/cpuinfo", "model name") or platform.processor()
    kib = int((_value_in("/proc/meminfo", "MemTotal") or "0 kB").split()[0])
    cores = sum(
        line.startswith("processor")
        for line in Path("/proc/cpuinfo").read_text("ascii", "replace").splitlines()
    )
    return (
        f"{cores} × {model}, {kib / MIB:.0f} GiB of memory, Linux {platform.release()},"
        f" Python {platform.python_version()}"
    )


def _value_in(path: str, name: str) -> str | None:
    for line in Path(path).read_text("ascii", "replace").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return None


# --- tables


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown: the first column is text, all others are numbers."""
    lines = [heads, ["---", *["--:"] * (len(heads) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _ratios(settings: Sequence[SettingReport]) -> str:
    rows = []
    for name, operation in OPERATIONS.items():
        cells = [_cpu_ratio(setting.servers, name) for setting in settings]
        if any(cells):
            rows.append([operation.says, *(cell or "–" for cell in cells)])
    return table(["operation", *(setting.says for setting in settings)], rows)


def _cpu_ratio(servers: Sequence[ServerReport], name: str) -> str:
    found = [server.operations.get(name) for server in servers]
    if len(found) != 2 or found[0] is None or found[1] is None:
        return ""
    return share(ratio(found[0].all_cpu_ms, found[1].all_cpu_ms))


def _operations(servers: Sequence[ServerReport]) -> str:
    heads = ["operation", *(f"{server.name} CPU ms" for server in servers)]
    if len(servers) == 2:
        heads.append("ratio")
    for what in ("p50 ms", "p99 ms", "bytes"):
        heads += [f"{server.name} {what}" for server in servers]
    rows = [
        _row(name, servers)
        for name in OPERATIONS
        if any(name in server.operations for server in servers)
    ]
    return table(heads, rows)


def _row(name: str, servers: Sequence[ServerReport]) -> list[str]:
    operation = OPERATIONS[name]
    found = [server.operations.get(name) for server in servers]
    cells = [operation.says, *(_cpu(figures) for figures in found)]
    if len(servers) == 2:
        cells.append(_cpu_ratio(servers, name) or "–")
    cells += ["–" if figures is None else number(figures.p50_ms) for figures in found]
    cells += ["–" if figures is None else number(figures.p99_ms) for figures in found]
    for figures in found:
        is_told = operation.grows and figures is not None
        cells.append(f"{figures.bytes_each:,.0f}" if is_told and figures is not None else "")
    return cells


def _cpu(figures: Figures | None) -> str:
    """The median, how far the runs lie apart, and what of it is PostgreSQL's."""
    if figures is None:
        return "failed"
    text = number(figures.all_cpu_ms)
    if figures.cpu_ms_most > figures.cpu_ms_least:
        text += f" ({number(figures.cpu_ms_least)}–{number(figures.cpu_ms_most)})"
    if figures.database_cpu_ms:
        text += f", {number(figures.database_cpu_ms)} of it PostgreSQL"
    return text


def _memory(servers: Sequence[ServerReport]) -> str:
    names = list(dict.fromkeys(name for server in servers for name in server.memory_idle))
    rows = []
    for name in names:
        cells = [name]
        for when in ("memory_idle", "memory_after"):
            found = [getattr(server, when).get(name) for server in servers]
            cells += ["" if size is None else f"{size / MIB:.0f}" for size in found]
            if len(servers) == 2:
                both = None not in found
                cells.append(share(ratio(found[0], found[1])) if both else "")
        rows.append(cells)
    heads = ["memory (PSS, MiB)"]
    for when in ("idle", "after"):
        heads += [f"{server.name} {when}" for server in servers]
        heads += ["ratio"] if len(servers) == 2 else []
    return table(heads, rows)


def _bytes_lines(servers: Sequence[ServerReport]) -> list[str]:
    told = [
        f"{server.name} {server.version}: {server.bytes_per_event:,.0f} bytes of database for each"
        f" of {server.events:,} events"
        for server in servers
    ]
    text = "; ".join(told)
    if len(servers) == 2:
        ours, theirs = servers
        text += f"; ratio {share(ratio(ours.bytes_per_event, theirs.bytes_per_event))}"
    return [text + "."]


def number(value: float) -> str:
    """Three digits are as much as such a measurement is worth."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def share(value: float | None) -> str:
    """A ratio as a fraction of one."""
    return "–" if value is None else f"{value:.2f}"
