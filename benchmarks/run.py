"""The load program: `python -m benchmarks.run --help`.

Every operation runs on the servers by turns, so that what else the machine does meets them alike.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import attrs

from tests.integration.deployment import POSTGRES, SQLITE

from .client import AnswerError, Session
from .environment import NGINX, REDIS, check_programs, has_postgres, run_with_postgres
from .figures import Sample, figures_of
from .meters import cpu_seconds, pss_bytes, settle
from .profiling import profiled
from .report import (
    ServerReport,
    SettingReport,
    as_json,
    as_markdown,
    machine,
    write_markdown,
)
from .servers import WORKERS, Running, synapse_lite
from .synapse import synapse
from .work import OPERATIONS, Operation, World

BOTH = "both"
SYNAPSE_LITE = "synapse_lite"
SYNAPSE = "synapse"

EVENTS = "events"
"""Both servers have such a table."""

OPERATION_SECONDS = 300.0
"""What takes longer counts as failed."""


@attrs.frozen
class Setting:
    """How the servers run. Synapse's workers need PostgreSQL, so on SQLite it is one process."""

    name: str
    says: str
    engine: str
    workers: tuple[str, ...] = ()
    synapse_workers: tuple[str, ...] = ()


SETTINGS = {
    setting.name: setting
    for setting in (
        Setting("sqlite", "SQLite, one process", SQLITE),
        Setting("postgres", "PostgreSQL, one process", POSTGRES),
        Setting("postgres-workers", "PostgreSQL, three workers each", POSTGRES, WORKERS, WORKERS),
        Setting("sqlite-workers", "SQLite, three workers, Synapse as one process", SQLITE, WORKERS),
    )
}


@attrs.define
class _Measured:
    """A server under measurement."""

    server: Running
    world: World
    idle: dict[str, int]
    bytes_before: int
    events_before: int
    samples: dict[str, list[Sample]] = attrs.Factory(dict)
    failed: set[str] = attrs.Factory(set)

    @classmethod
    async def begin(cls, server: Running, *, is_quick: bool) -> _Measured:
        """Look at a server that has answered once and come to rest."""
        await Session(server.address).exchange("GET", "/_matrix/client/versions")
        await settle(server.pids)
        return cls(
            server,
            World(server.address, is_quick=is_quick),
            {name: pss_bytes(pid) for name, pid in server.processes.items()},
            server.database.size(),
            server.database.rows(EVENTS),
        )

    def report(self) -> ServerReport:
        """What was measured."""
        server = self.server
        self.world.close()
        return ServerReport(
            name=server.name,
            version=server.version,
            memory_idle=self.idle,
            memory_after={name: pss_bytes(pid) for name, pid in server.processes.items()},
            grown_bytes=server.database.size() - self.bytes_before,
            events=server.database.rows(EVENTS) - self.events_before,
            operations={
                name: figures_of(runs)
                for name, runs in self.samples.items()
                if name not in self.failed
            },
        )


async def measure(
    operation: Operation, server: Running, world: World, profiles: Path | None = None
) -> Sample:
    """Run an operation once. What the server does after its last answer counts as well."""
    work = await operation.prepare(world)
    await settle(server.pids)
    async with AsyncExitStack() as stack:
        if profiles is not None:
            name = f"{server.name}-{operation.name}"
            await stack.enter_async_context(profiled(profiles, name, server.processes))
        size, backends = server.database.size(), server.database.backend_seconds()
        before = cpu_seconds(server.pids)
        latencies = await work()
        await settle(server.pids)
        return Sample(
            count=len(latencies),
            cpu_seconds=cpu_seconds(server.pids) - before,
            database_cpu_seconds=max(0.0, server.database.backend_seconds() - backends),
            latencies=latencies,
            grown_bytes=max(0, server.database.size() - size),
        )


async def compare(
    servers: Sequence[Running],
    operations: Sequence[Operation],
    *,
    repeat: int,
    is_quick: bool,
    profiles: Path | None,
) -> list[ServerReport]:
    """Run the operations, interleaved. Returns a report for each server."""
    measured = [await _Measured.begin(server, is_quick=is_quick) for server in servers]
    for operation in operations:
        for number in range(1, repeat + 1):
            for one in measured:
                if operation.name not in one.failed:
                    await _run(operation, one, f"{number}/{repeat}", profiles)
    return [one.report() for one in measured]


async def _run(operation: Operation, one: _Measured, turn: str, profiles: Path | None) -> None:
    """One turn of an operation on a server; a failure is told and ends the operation there."""
    began = time.monotonic()
    sample = None
    reason = ""
    try:
        async with asyncio.timeout(OPERATION_SECONDS):
            sample = await measure(operation, one.server, one.world, profiles)
    except* (AnswerError, OSError, TimeoutError, EOFError) as errors:
        reason = repr(errors.exceptions[0])
    if sample is None:
        one.failed.add(operation.name)
        say(f"{operation.name} {turn} on {one.server.name} FAILED: {reason}")
        return
    one.samples.setdefault(operation.name, []).append(sample)
    took = time.monotonic() - began
    cpu_ms = sample.cpu_seconds / sample.count * 1000
    say(f"{operation.name} {turn} on {one.server.name}: {cpu_ms:.2f} ms, in {took:.0f} s")


def say(text: str) -> None:
    """Progress goes beside the result."""
    print(text, file=sys.stderr, flush=True)


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--server", choices=(SYNAPSE_LITE, SYNAPSE, BOTH), default=BOTH)
    parser.add_argument(
        "--settings",
        nargs="+",
        metavar="SETTING",
        choices=sorted(SETTINGS),
        default=["sqlite"],
        help=f"one after another: {', '.join(SETTINGS)}",
    )
    parser.add_argument("--only", nargs="+", metavar="OPERATION", choices=sorted(OPERATIONS))
    parser.add_argument("--without", nargs="+", default=[], choices=sorted(OPERATIONS))
    parser.add_argument("--repeat", type=int, default=2, choices=range(1, 21), metavar="1…20")
    parser.add_argument("--quick", action="store_true", help="a quarter of the work")
    parser.add_argument(
        "--profile", type=Path, metavar="FOLDER", help="profile every operation; figures suffer"
    )
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write the tables there, between its marks"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return parser


def main() -> int:
    """Start the servers, run, print."""
    options = arguments().parse_args()
    settings = [SETTINGS[name] for name in options.settings]
    if options.profile is not None:
        options.profile.mkdir(parents=True, exist_ok=True)
    if any(setting.workers for setting in settings):
        check_programs([NGINX] if options.server == SYNAPSE_LITE else [NGINX, REDIS])
    if any(setting.engine == POSTGRES for setting in settings) and not has_postgres():
        return run_with_postgres("benchmarks.run", sys.argv[1:])
    reports = [_run_setting(setting, options) for setting in settings]
    command = " ".join(["python -m benchmarks.run", *sys.argv[1:]])
    about = [f"`{command}`", f"On {machine()}; on {time.strftime('%Y-%m-%d')}."]
    text = as_markdown(reports, about)
    print(text)
    if options.markdown is not None:
        write_markdown(options.markdown, text)
    if options.json is not None:
        everything = as_json(reports, {"command": command, "machine": machine()})
        options.json.write_text(json.dumps(everything, indent=1), "utf-8")
    return 0


def _run_setting(setting: Setting, options: argparse.Namespace) -> SettingReport:
    chosen = [
        operation
        for name, operation in OPERATIONS.items()
        if (not options.only or name in options.only) and name not in options.without
    ]
    with ExitStack() as stack:
        servers = []
        if options.server in (SYNAPSE_LITE, BOTH):
            servers.append(stack.enter_context(synapse_lite(setting.engine, setting.workers)))
        if options.server in (SYNAPSE, BOTH):
            servers.append(stack.enter_context(synapse(setting.engine, setting.synapse_workers)))
        say(f"--- {setting.says}")
        compared = compare(
            servers,
            chosen,
            repeat=options.repeat,
            is_quick=options.quick,
            profiles=options.profile,
        )
        return SettingReport(says=setting.says, servers=asyncio.run(compared))


if __name__ == "__main__":
    sys.exit(main())
