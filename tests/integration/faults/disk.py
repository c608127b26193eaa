"""A disk that is full for a while."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from ..deployment import MASTER
from ..processes import wait_for
from .fleet import CLIENT_READERS, SYNCHROTRONS
from .stage import Stage

_CHUNK = 64 * 1024
_REFUSED_SECONDS = 60.0
_REFUSALS = 8


def full_disk(stage: Stage) -> None:
    """Fill the disk, see that sends are refused in good manner and reads go on, make room."""
    stage.wait_for_part(0.2, 0.5)
    filler = stage.fleet.disk / "filler"
    stage.fault("the disk is full")
    began = time.monotonic()
    before = len(stage.record.exchanges)
    try:
        _fill(filler)
        wait_for(
            lambda: _keep_full(filler) and _refusals(stage, before) >= _REFUSALS,
            _REFUSED_SECONDS,
            "sends are refused",
        )
        stage.note(f"{_REFUSALS} requests refused after {time.monotonic() - began:.2f} s")
        problems = list(_reads_that_fail(stage))
        while time.monotonic() < began + stage.seconds:
            _keep_full(filler)
            time.sleep(0.1)
    finally:
        filler.unlink()
    stage.note("there is room again")
    assert not problems, problems
    stage.wait_for_more(20)


def _refusals(stage: Stage, before: int) -> int:
    later = stage.record.exchanges[before:]
    return sum(e.status == 503 and "/send/" in e.path for e in later)


def _fill(path: Path) -> None:
    """Write until there is no room for another byte."""
    with open(path, "ab", buffering=0) as file:
        size = _CHUNK
        while size:
            try:
                file.write(bytes(size))
            except OSError:
                size //= 2


def _keep_full(path: Path) -> bool:
    """Take what has become free since: logs that were cut back, for one."""
    _fill(path)
    return True


def _reads_that_fail(stage: Stage) -> Iterator[str]:
    """Reads that get no good answer while nothing can be written."""
    sent = stage.board.sent[-1]
    room = f"/rooms/{sent.room_id}"
    for door in (MASTER, *CLIENT_READERS, *SYNCHROTRONS):
        for path in ("/sync", f"{room}/messages?dir=b&limit=50", f"{room}/members"):
            try:
                stage.observer.once("GET", path, door=door)
            except Exception as error:
                yield f"{path} at {door} while the disk is full: {error}"
