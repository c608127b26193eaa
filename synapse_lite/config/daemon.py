"""Options of the process itself."""

from __future__ import annotations

from collections.abc import Iterator

from synapse_lite.config import _parsers
from synapse_lite.config._options import option, section


@section(title="Process")
class DaemonConfig:
    """How the master lives as a process of the operating system."""

    pid_file: str | None = option(
        default=None,
        doc="The file for the master's process id.",
        example="homeserver.pid",
        parse=_parsers.path,
    )
    daemonize: bool = option(default=False, doc="Go to the background once started.")
    soft_file_limit: int = option(
        default=0,
        doc="How many files and sockets the process may open. 0: as many as the system allows.",
        parse=_parsers.at_least(0),
    )
    cpu_affinity: frozenset[int] | None = option(
        default=None,
        doc="The CPUs that the master may run on: a list of numbers, or a bit mask.",
        example=[0, 1],
        parse=_parsers.cpu_set,
    )
    gc_thresholds: tuple[int, ...] | None = option(
        default=None,
        doc="The three thresholds of Python's garbage collector.",
        example=[700, 10, 10],
        parse=_parsers.at_least(1),
        shown_default="those of Python",
    )

    def check(self) -> Iterator[tuple[str, str]]:
        if self.gc_thresholds is not None and len(self.gc_thresholds) != 3:
            yield "gc_thresholds", "must be three numbers"
