"""What the processes of a server have last said about themselves, read from its database."""

from __future__ import annotations

import logging
import os

from twisted.internet import reactor
from twisted.python.failure import Failure

from ...config import Config
from ...config.database import SQLITE
from ...storage.database import DatabasePool
from ...storage.engines import create_engine
from ...storage.heartbeats import ProcessHeartbeat, get_heartbeats
from ...util.background import start
from ...util.clock import Clock

logger = logging.getLogger(__name__)


def read_heartbeats(config: Config) -> dict[str, ProcessHeartbeat]:
    """The last word of each process by its name; nothing if the database cannot be asked."""
    file = config.database.args.get("database")
    if config.database.name == SQLITE and not os.path.exists(str(file)):
        # Asking would make an empty one.
        return {}
    engine = create_engine(config.database)
    clock = Clock(reactor)
    db = DatabasePool(engine, reactor, clock, immediate=True)  # type: ignore[arg-type]  # a module
    found: list[list[ProcessHeartbeat] | Failure] = []
    start(get_heartbeats(db)).addBoth(found.append)
    start(db.stop())
    if not found or isinstance(found[0], Failure):
        logger.debug("The heartbeats cannot be read: %s", found)
        return {}
    return {beat.name: beat for beat in found[0]}


def in_words(beat: ProcessHeartbeat, now_ms: int) -> str:
    """Version, age and lag of a process."""
    words = f"version {beat.version}, up {_duration(now_ms - beat.started_ts)}"
    behind = [lag["ms"] for lag in beat.lag.values() if isinstance(lag, dict)]
    if behind:
        words += f", {max(behind)} ms behind the master"
    return words


def _duration(milliseconds: int) -> str:
    seconds = max(0, milliseconds // 1000)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
