"""The load program: `python -m benchmarks.run --help`.

Every operation runs on the servers by turns, so that what else the machine does meets them alike.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import sys
from collections.abc import Sequence
from contextlib import ExitStack

from tests.integration.deployment import POSTGRES, SQLITE

from .client import Session
from .figures import Sample, figures_of
from .meters import cpu_seconds, pss_bytes, settle
from .report import ServerReport, as_json, as_table
from .servers import Running, synapse, synapse_lite
from .work import OPERATIONS, Operation, World

BOTH = "both"
SYNAPSE_LITE = "synapse_lite"
SYNAPSE = "synapse"
WORKERS = ("event_creator", "client_reader", "synchrotron")


async def measure(operation: Operation, server: Running, world: World) -> Sample:
    """Run an operation once. What the server does after its last answer counts as well."""
    work = await operation.prepare(world)
    await settle(server.pids)
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
    servers: Sequence[Running], operations: Sequence[Operation], repeat: int
) -> list[ServerReport]:
    """Run the operations, interleaved. Returns a report for each server."""
    worlds = [World(server.address) for server in servers]
    for server in servers:
        await Session(server.address).exchange("GET", "/_matrix/client/versions")
        await settle(server.pids)
    idle = [pss_bytes(server.pids) for server in servers]
    samples: list[dict[str, list[Sample]]] = [{} for _ in servers]
    for operation in operations:
        for round_number in range(repeat):
            for server, world, of_server in zip(servers, worlds, samples, strict=True):
                say(f"{operation.name} {round_number + 1}/{repeat} on {server.name}")
                sample = await measure(operation, server, world)
                of_server.setdefault(operation.name, []).append(sample)
    after = [pss_bytes(server.pids) for server in servers]
    for world in worlds:
        world.close()
    return [
        ServerReport(
            name=server.name,
            version=server.version,
            memory_idle=idle[place],
            memory_after=after[place],
            operations={name: figures_of(runs) for name, runs in samples[place].items()},
        )
        for place, server in enumerate(servers)
    ]


def say(text: str) -> None:
    """Progress goes beside the result."""
    print(text, file=sys.stderr, flush=True)


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--server", choices=(SYNAPSE_LITE, SYNAPSE, BOTH), default=BOTH)
    parser.add_argument(
        "--database",
        choices=(SQLITE, POSTGRES),
        default=SQLITE,
        help="PostgreSQL is that of scripts/with_postgres",
    )
    parser.add_argument(
        "--workers",
        nargs="*",
        metavar="KIND",
        help=f"run synapse_lite with workers behind nginx; without kinds: {' '.join(WORKERS)}",
    )
    parser.add_argument("--only", nargs="+", metavar="OPERATION", choices=sorted(OPERATIONS))
    parser.add_argument("--repeat", type=int, default=3, choices=range(1, 21), metavar="1…20")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser


def main() -> int:
    """Start the servers, run, print."""
    options = arguments().parse_args()
    workers: list[str] = [] if options.workers is None else options.workers or list(WORKERS)
    chosen = [o for name, o in OPERATIONS.items() if not options.only or name in options.only]
    with ExitStack() as stack:
        servers = []
        if options.server in (SYNAPSE_LITE, BOTH):
            servers.append(stack.enter_context(synapse_lite(options.database, workers)))
        if options.server in (SYNAPSE, BOTH):
            servers.append(stack.enter_context(synapse(options.database)))
        reports = asyncio.run(compare(servers, chosen, options.repeat))
    about = {
        "database": options.database,
        "workers": workers,
        "repeat": options.repeat,
        "python": platform.python_version(),
        "machine": platform.platform(),
    }
    print(json.dumps(as_json(reports, about), indent=1) if options.json else as_table(reports))
    return 0


if __name__ == "__main__":
    sys.exit(main())
