"""The newest events of rooms as counting looks at them, and counters that follow them.

A room's tail is complete above its floor. Rooms that were not used for longest are forgotten first,
and with them their counters; what is forgotten is read again from the database. That may happen
whenever any cache grows: a tail that is held may have been forgotten meanwhile.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from ..storage.unread import EVERYBODY, ReadPositions
from ..types.unread import MAIN_THREAD, Count, RoomCounts
from ..util.caches.budget import BudgetedCache, MemoryBudget, first_to_go
from .classes import NOTHING, Effect, Like, RuleClass, UserRules
from .evaluator import Reader, Result

EVENTS_PER_ROOM = 100

_ROOM_BYTES = 510
_RECORD_BYTES = 390
_COUNTER_BYTES = 1450
_RESULT_BYTES = 1500
_BYTES_PER_BYTE = 2
"""An event that rules looked at is held with its content, and with what was lower-cased of it."""

_NO_RESULTS: Mapping[RuleClass, Result[Effect]] = {}


class Record:
    """An event of a tail. `results` are what it is to classes whose rules look at events."""

    __slots__ = (
        "event_id",
        "highlights",
        "is_read",
        "is_redacted",
        "notifies",
        "ordering",
        "result_bytes",
        "results",
        "sender",
        "thread_id",
    )

    def __init__(self, ordering: int, event_id: str, notice: Sequence[Any]) -> None:
        self.ordering = ordering
        self.event_id = event_id
        self.sender, self.thread_id, self.notifies, highlights, _, self.is_read = notice
        self.highlights = frozenset(highlights) if highlights else None
        self.is_redacted = False
        self.results: Mapping[RuleClass, Result[Effect]] = _NO_RESULTS
        self.result_bytes = 0
        """About how many bytes the results take: they have the content of the event."""

    def effect_on(self, rules: RuleClass, reader: Reader) -> Effect:
        """What the event does to the counts of a reader who did not send it."""
        if not rules.is_plain:
            result = self.results.get(rules)
            return NOTHING if result is None else result.for_reader(reader) or NOTHING
        highlights = self.highlights
        return plain_effect(
            rules.like,
            notifies=self.notifies,
            highlights=highlights is not None
            and (EVERYBODY in highlights or reader.user_id in highlights),
        )


_NOTIFY = Effect(notify=True, highlight=False)
_HIGHLIGHT = Effect(notify=True, highlight=True)


def plain_effect(like: Like, *, notifies: bool, highlights: bool) -> Effect:
    """What an event does by one of the plain classes."""
    if like is Like.NOTHING:
        return NOTHING
    if highlights:
        return _HIGHLIGHT
    return _NOTIFY if notifies and like is Like.DEFAULT else NOTHING


class Counter:
    """What a user has not read of a room, counted up to a position.

    `source` and `member_count` are what the class was made of. `unsure` are threads that were read
    up to somewhere in between; they must be counted again.
    """

    __slots__ = (
        "_answer",
        "changed_at",
        "counts",
        "ignored",
        "member_count",
        "reader",
        "reads",
        "rules",
        "rules_at",
        "source",
        "unsure",
        "upto",
    )

    def __init__(
        self,
        reader: Reader,
        rules: RuleClass,
        source: UserRules,
        member_count: int,
        ignored: frozenset[str],
        reads: ReadPositions,
        upto: int,
    ) -> None:
        self.reader = reader
        self.rules = rules
        self.source = source
        self.member_count = member_count
        self.ignored = ignored
        self.reads = reads
        self.upto = upto
        self.counts: dict[str, list[int]] = {}
        self.changed_at = upto
        self.rules_at = 0
        self.unsure: set[str] = set()
        self._answer: RoomCounts | None = None

    def add(self, thread_id: str, effect: Effect, times: int = 1) -> bool:
        """Count an event, or several alike; take them off again with a negative number.

        Returns whether that changes anything.
        """
        if not effect.notify or not times:
            return False
        counts = self.counts.setdefault(thread_id, [0, 0])
        counts[0] += times
        counts[1] += times if effect.highlight else 0
        if counts[0] <= 0:
            del self.counts[thread_id]
        self._answer = None
        return True

    def add_record(self, record: Record) -> None:
        """Count an event of the tail that comes after all that was counted."""
        if record.sender == self.reader.user_id:
            if record.is_read:
                self.read(record.thread_id, record.ordering)
            return
        if self._wants(record) and self.add(
            record.thread_id, record.effect_on(self.rules, self.reader)
        ):
            self.changed_at = record.ordering

    def _wants(self, record: Record) -> bool:
        return (
            not record.is_redacted
            and record.sender not in self.ignored
            and record.ordering > self.reads.of(record.thread_id)
        )

    def redacted(self, record: Record, position: int) -> bool:
        """An event was redacted at a position. False if it cannot be said what it had counted."""
        if record.ordering > self.upto or record.sender == self.reader.user_id:
            return True
        if not self._wants(record):
            return True
        if not self.rules.is_plain and self.rules not in record.results:
            return False
        if self.add(record.thread_id, record.effect_on(self.rules, self.reader), -1):
            self.changed_at = max(self.changed_at, position)
        return True

    def read(self, thread_id: str, position: int) -> None:
        """The user has read a thread up to a position, or everything (thread id empty)."""
        if position <= (self.reads.of(thread_id) if thread_id else self.reads.floor):
            return
        self.reads.note(thread_id, position)
        for read in [thread_id] if thread_id else list(self.counts):
            if read not in self.counts:
                continue
            if position >= self.upto:
                del self.counts[read]
                self.unsure.discard(read)
            else:
                self.unsure.add(read)
            self._answer = None
            self.changed_at = max(self.changed_at, position)

    def count_again(self, tail: Tail) -> bool:
        """Count what has become unsure by the tail. False if that is not possible."""
        for thread_id in self.unsure:
            low = self.reads.of(thread_id)
            records = tail.between(low, self.upto)
            if records is None:
                return False
            self.counts.pop(thread_id, None)
            for record in records:
                if (
                    record.thread_id == thread_id
                    and record.sender != self.reader.user_id
                    and self._wants(record)
                ):
                    if not self.rules.is_plain and self.rules not in record.results:
                        return False
                    self.add(thread_id, record.effect_on(self.rules, self.reader))
        self.unsure.clear()
        self._answer = None
        return True

    def answer(self) -> RoomCounts:
        """The counts."""
        if self._answer is None:
            counts = {thread_id: Count(*count) for thread_id, count in self.counts.items()}
            main = counts.pop(MAIN_THREAD, None) or Count()
            self._answer = RoomCounts(main, counts, self.changed_at, self.rules_at)
        return self._answer


class Tail:
    """The newest events of a room, and the counters of its users."""

    __slots__ = (
        "_orderings",
        "_result_bytes",
        "counters",
        "floor",
        "placed",
        "records",
        "used",
        "version",
    )

    def __init__(self, floor: int, used: int) -> None:
        self.floor = floor
        self.used = self.placed = used
        """Ticks of the budget, as in an entry of a cache: of the last use, and of the place."""
        self.records: list[Record] = []
        self._orderings: list[int] = []
        self._result_bytes = 0
        self.counters: dict[str, Counter] = {}
        self.version = 0
        """Goes up when something happened to an event that may have been counted."""

    @property
    def weight(self) -> int:
        """About how many bytes it takes."""
        return (
            _ROOM_BYTES
            + _RECORD_BYTES * len(self.records)
            + _COUNTER_BYTES * len(self.counters)
            + self._result_bytes
        )

    @property
    def end(self) -> int:
        """The position of its last event."""
        return self._orderings[-1] if self._orderings else self.floor

    def append(self, record: Record) -> None:
        """Add the newest event."""
        self.records.append(record)
        self._orderings.append(record.ordering)
        if len(self.records) >= 2 * EVENTS_PER_ROOM:
            # Drop the older half: cheaper than one by one.
            self.floor = self._orderings[EVENTS_PER_ROOM - 1]
            self._result_bytes -= sum(
                record.result_bytes for record in self.records[:EVENTS_PER_ROOM]
            )
            del self.records[:EVENTS_PER_ROOM], self._orderings[:EVENTS_PER_ROOM]

    def add_result(
        self, record: Record, rules: RuleClass, result: Result[Effect], event_bytes: int
    ) -> None:
        """Note what an event is to a class whose rules look at events; its JSON has these bytes."""
        size = _RESULT_BYTES + _BYTES_PER_BYTE * event_bytes
        record.results = {**record.results, rules: result}
        record.result_bytes += size
        at = bisect_left(self._orderings, record.ordering)
        if at < len(self.records) and self.records[at] is record:  # else it was dropped meanwhile
            self._result_bytes += size

    def between(self, low: int, high: int) -> Sequence[Record] | None:
        """The events with low < position <= high; None if some may be missing."""
        if low < self.floor:
            return None
        end = len(self._orderings)
        if not end or low >= self._orderings[-1]:
            return ()
        start = bisect_right(self._orderings, low)
        if high < self._orderings[-1]:
            end = bisect_right(self._orderings, high)
        return self.records[start:end]

    def forget(self, position: int) -> None:
        """Something is not known up to a position: start anew there."""
        self.floor = max(self.end, position)
        self.records.clear()
        self._orderings.clear()
        self._result_bytes = 0
        self.counters.clear()
        self.version += 1

    def redact(self, event_id: str, position: int) -> None:
        """An event of the room was redacted at a position."""
        for record in reversed(self.records):
            if record.event_id == event_id:
                break
        else:
            self.counters.clear()
            self.version += 1
            return
        if record.is_redacted:
            return
        self.version += 1
        unsure = [
            user_id
            for user_id, counter in self.counters.items()
            if not counter.redacted(record, position)
        ]
        for user_id in unsure:
            del self.counters[user_id]
        record.is_redacted = True


class Tails(BudgetedCache):
    """The tails of all rooms in which something has happened, or is counted."""

    def __init__(self, floor: int, budget: MemoryBudget) -> None:
        super().__init__("unread_counts", budget)
        self.floor = floor
        self._tails: OrderedDict[str, Tail] = OrderedDict()

    def reset(self, floor: int) -> None:
        """Forget everything up to a position."""
        self._tails.clear()
        self._resize(-self.size_bytes)
        self.floor = floor

    def peek(self, room_id: str) -> Tail | None:
        """The tail of a room, if there is one, without any trace of the question."""
        return self._tails.get(room_id)

    def counter(self, room_id: str, user_id: str) -> tuple[Tail, Counter] | None:
        """The counter of a user with the tail that it follows, if it is kept; noted as a use."""
        tail = self._tails.get(room_id)
        counter = None if tail is None else tail.counters.get(user_id)
        if tail is None or counter is None:
            self.misses += 1
            return None
        self.hits += 1
        tail.used = self.budget.tick
        return tail, counter

    def of_room(self, room_id: str) -> Tail:
        """The tail of a room, made if need be."""
        tail = self._of_room(room_id)
        self.budget.shrink()
        return tail

    def append(self, room_id: str, record: Record) -> None:
        """A room has a new event."""
        tail = self._of_room(room_id)
        if record.ordering > tail.end:
            before = tail.weight
            tail.append(record)
            self._resize(tail.weight - before)
        self.budget.shrink()

    def add_result(
        self,
        tail: Tail,
        room_id: str,
        record: Record,
        rules: RuleClass,
        result: Result[Effect],
        event_bytes: int,
    ) -> None:
        """Note what an event of a tail, forgotten meanwhile or not, is to a class."""
        before = tail.weight
        tail.add_result(record, rules, result, event_bytes)
        if self._tails.get(room_id) is tail:
            self._resize(tail.weight - before)
            self.budget.shrink()

    def keep(self, room_id: str, user_id: str, counter: Counter) -> None:
        """Keep a counter."""
        tail = self._of_room(room_id)
        before = tail.weight
        tail.counters[user_id] = counter
        self._resize(tail.weight - before)
        self.budget.shrink()

    def drop(self, room_id: str, user_id: str) -> None:
        """Forget a counter."""
        tail = self._tails.get(room_id)
        if tail is not None and tail.counters.pop(user_id, None) is not None:
            self._resize(-_COUNTER_BYTES)

    def forget(self, room_id: str, position: int) -> None:
        """Something is not known of a room up to a position."""
        tail = self._of_room(room_id)
        before = tail.weight
        tail.forget(position)
        self._resize(tail.weight - before)
        self.budget.shrink()

    def redact(self, room_id: str, event_id: str, position: int) -> None:
        """An event of a room was redacted at a position."""
        tail = self._of_room(room_id)
        before = tail.weight
        tail.redact(event_id, position)
        self._resize(tail.weight - before)
        self.budget.shrink()

    def _of_room(self, room_id: str) -> Tail:
        """As `of_room`; nothing is evicted yet."""
        tick = self.budget.tick
        tail = self._tails.get(room_id)
        if tail is None:
            tail = self._tails[room_id] = Tail(self.floor, tick)
            self._resize(tail.weight)
        else:
            tail.used = tail.placed = tick
            self._tails.move_to_end(room_id)
        self.budget.tick = tick + 1
        return tail

    def __len__(self) -> int:
        """How many rooms have a tail."""
        return len(self._tails)

    def oldest_use(self) -> int | None:
        """The tick at which the tail to go first was last used; None without any."""
        tail = first_to_go(self._tails)
        return None if tail is None else tail.used

    def evict_oldest(self) -> None:
        """Forget that tail: what a new one of its room knows begins at its end."""
        first_to_go(self._tails)
        _, tail = self._tails.popitem(last=False)
        self.floor = max(self.floor, tail.end)
        self._resize(-tail.weight)
        self.evictions += 1
