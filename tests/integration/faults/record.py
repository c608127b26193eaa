"""What clients asked and were told, and what was broken meanwhile."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import attrs

NO_ANSWER_STATUS = 0
"""Stands for the status when the connection broke."""


@attrs.frozen
class Exchange:
    """One request, in seconds since the record began. `result` is what the check is about."""

    actor: str
    door: str
    method: str
    path: str
    began: float
    ended: float
    status: int
    result: str

    @property
    def is_good(self) -> bool:
        """Whether the request was acknowledged."""
        return self.status == 200


@attrs.frozen
class Fault:
    """Something that was broken or mended."""

    at: float
    what: str


class Record:
    """Filled by many threads."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self.faults: list[Fault] = []
        self._lock = threading.Lock()
        self._began = time.monotonic()

    def begin(self) -> None:
        """Count the time from here."""
        self._began = time.monotonic()

    def now(self) -> float:
        """Seconds since the record began."""
        return time.monotonic() - self._began

    def add(self, exchange: Exchange) -> None:
        """Note a request that has ended."""
        with self._lock:
            self.exchanges.append(exchange)

    def fault(self, what: str) -> float:
        """Note what is being broken now. Returns the time."""
        at = self.now()
        with self._lock:
            self.faults.append(Fault(at, what))
        return at

    def save(self, path: Path) -> None:
        """Write everything in the order of its end, one JSON object a line."""
        lines = [(fault.at, attrs.asdict(fault)) for fault in self.faults]
        lines += [(each.ended, attrs.asdict(each)) for each in self.exchanges]
        lines.sort(key=lambda line: line[0])
        with open(path, "w", encoding="utf-8") as file:
            for _, line in lines:
                file.write(json.dumps(line) + "\n")

    @property
    def failed(self) -> int:
        """How many requests were not acknowledged."""
        return sum(not exchange.is_good for exchange in self.exchanges)

    def repeated_sends(self) -> int:
        """How many sends needed more than one request."""
        return len({e.path for e in self.exchanges if "/send/" in e.path and not e.is_good})

    def recoveries(self) -> Iterator[tuple[Fault, float, float]]:
        """For each fault: seconds to the next acknowledged send that began after it, and to the
        last request that failed before the next fault (0 if none did)."""
        sends = [e for e in self.exchanges if "/send/" in e.path and e.is_good]
        for number, fault in enumerate(self.faults):
            following = (
                self.faults[number + 1].at if number + 1 < len(self.faults) else float("inf")
            )
            later = [e.ended for e in sends if e.began >= fault.at]
            bad = [e.ended for e in self.exchanges if not e.is_good]
            bad = [at for at in bad if fault.at <= at < following]
            yield (
                fault,
                min(later, default=float("inf")) - fault.at,
                max(bad, default=fault.at) - fault.at,
            )
