"""What the index of messages costs: bytes and CPU for each message, and time for each search.

    python -m benchmarks.search_index --messages 100000                          # SQLite in a file
    scripts/with_postgres python -m benchmarks.search_index --messages 100000 --postgres

The messages are made up: four in five of 3 to 16 English-like words, whose frequency falls as that
of words does, one in five of 4 to 30 Chinese characters. They are in 50 rooms. Figures are in
decision 0013.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.internet import reactor

from synapse_lite.storage._gram_index import Sought
from synapse_lite.storage.database import DatabasePool
from synapse_lite.storage.engines import DatabaseEngine
from synapse_lite.storage.engines.postgres import PostgresEngine
from synapse_lite.storage.engines.sqlite import SqliteEngine
from synapse_lite.storage.schema.prepare import prepare_database
from synapse_lite.storage.search import SearchWorkerStore, room_label
from synapse_lite.storage.search_index import BATCH_POSITIONS, SearchIndexStore
from synapse_lite.storage.timeline import EventTypeFilter
from synapse_lite.storage.transaction import Transaction
from synapse_lite.util.background import start
from synapse_lite.util.clock import Clock
from synapse_lite.util.folding import fold
from synapse_lite.util.json import encode_json_text

ROOMS = 50
_SYLLABLES = "ka to mi re lo san ter ing the pro con ver al en is ou st er an or un de ti ma ri"
_POSTGRES = "SYNAPSE_LITE_TEST_POSTGRES"
_INSERT_AT_ONCE = 2000
_COLUMNS = (
    "nid event_id stream_ordering room_id room_version type sender depth origin_server_ts"
    " received_ts contains_url outlier soft_failed in_timeline out_of_band json"
)


class Texts:
    """Made-up messages, the same at each run."""

    def __init__(self) -> None:
        self._random = random.Random(1)
        syllables = _SYLLABLES.split()
        self.words = [
            "".join(self._random.choices(syllables, k=self._random.randint(1, 4)))
            for _ in range(20_000)
        ]
        self._weights = [1 / (i + 1) for i in range(len(self.words))]
        self.characters = [chr(0x4E00 + i) for i in range(3000)]
        self._character_weights = [1 / (i + 10) for i in range(len(self.characters))]

    def make(self, number: int) -> str:
        """One message."""
        pick = self._random
        if number % 5 == 0:
            length = pick.randint(4, 30)
            return "".join(pick.choices(self.characters, self._character_weights, k=length))
        return " ".join(pick.choices(self.words, self._weights, k=pick.randint(3, 16)))

    def searches(self) -> list[str]:
        """What is searched for: frequent and rare, long and short."""
        words, han = self.words, self.characters
        return [
            f"{words[0]} {words[1]}",
            words[50],
            words[5000],
            words[300][:2],
            "a",
            han[0] + han[1],
            han[40],
            "zzzz",
        ]


def _room(number: int) -> str:
    return f"!room{number // 7 % ROOMS}:test"


def _insert_events_txn(txn: Transaction, texts: Sequence[str], first: int) -> None:
    columns = _COLUMNS.split()
    rows = []
    for number, text in enumerate(texts, start=first):
        body = encode_json_text({"content": {"body": text, "msgtype": "m.text"}})
        event = (number, f"$event{number}", number, _room(number), "10", "m.room.message")
        flags = (False, False, False, True, False)
        rows.append((*event, "@alice:test", number, number, number, *flags, body))
    txn.insert_many("events", columns, rows)


def _wait(coroutine: Any) -> Any:
    """The result of something that runs at once."""
    results: list[Any] = []
    start(coroutine).addBoth(results.append)
    if hasattr(results[0], "raiseException"):
        results[0].raiseException()
    return results[0]


class Measure:
    """A database with messages, its size and the CPU that was used."""

    def __init__(self, engine: DatabaseEngine, path: str | None) -> None:
        self._path = path
        self.db = DatabasePool(engine, reactor, Clock(reactor), immediate=True)  # type: ignore[arg-type]
        _wait(prepare_database(self.db))

    def bytes(self) -> int:
        """Of the whole database on SQLite, of the table with its indexes on PostgreSQL."""
        sql = (
            "SELECT pg_total_relation_size('search_messages')"
            if self._path is None
            else "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
        )
        size: int = _wait(self.db.read("size", lambda txn: txn.query(sql)))[0][0]
        return size

    def cpu(self) -> float:
        """Seconds of this process, and of the one of PostgreSQL that works for its writer."""
        own = time.process_time()
        if self._path is not None:
            return own
        sql = "SELECT pg_backend_pid()"
        pid = _wait(self.db.run("pid", lambda txn: txn.query(sql)))[0][0]
        fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
        return own + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def index(self, messages: int) -> None:
        """Index all messages in batches as the server does."""
        for low in range(0, messages, BATCH_POSITIONS):
            high = min(low + BATCH_POSITIONS, messages)
            _wait(self.db.run_relaxed("index", SearchIndexStore._index_range_txn, low, high))

    def search(self, term: str, rooms: int) -> tuple[int, float]:
        """How much is found in some rooms, and the milliseconds that it takes at best."""
        ids = [_room(number) for number in range(rooms)]
        sought = Sought(tuple(fold(term).split()), tuple(map(room_label, ids)))
        best = float("inf")
        for _ in range(3):
            began = time.perf_counter()
            found = _wait(
                self.db.read(
                    "search", SearchWorkerStore._search_txn, sought, ids, 2**62, EventTypeFilter()
                )
            )
            best = min(best, time.perf_counter() - began)
        return len(found.messages), best * 1000


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--postgres", action="store_true", help=f"at the address in {_POSTGRES}")
    options = parser.parse_args()
    texts = Texts()
    with tempfile.TemporaryDirectory() as folder:
        path = None if options.postgres else os.path.join(folder, "search.db")
        engine: DatabaseEngine = (
            PostgresEngine({"dsn": os.environ[_POSTGRES]})
            if path is None
            else SqliteEngine({"database": path})
        )
        measure = Measure(engine, path)
        size = 0
        for first in range(1, options.messages + 1, _INSERT_AT_ONCE):
            last = min(first + _INSERT_AT_ONCE, options.messages + 1)
            made = [texts.make(number) for number in range(first, last)]
            size += sum(len(text.encode()) for text in made)
            _wait(measure.db.run("insert", _insert_events_txn, made, first))
        print(f"messages: {options.messages} of {size / options.messages:.0f} bytes on average")
        before, began = measure.bytes(), measure.cpu()
        measure.index(options.messages)
        spent = measure.cpu() - began
        added = measure.bytes() - before
        print(
            f"index: {added / options.messages:.0f} bytes and"
            f" {spent / options.messages * 1e6:.0f} µs of CPU for each message"
        )
        for term in texts.searches():
            for rooms in (ROOMS, 1):
                found, ms = measure.search(term, rooms)
                print(f"search {term!r} in {rooms} rooms: {found} found in {ms:.1f} ms")
        _wait(measure.db.stop())


if __name__ == "__main__":
    main()
