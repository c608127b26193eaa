"""Counts of unread notifications, in any process that shows them.

Nothing is stored for those whom an event merely notifies. A count is made of the room's totals,
of stored highlights and, for users with rules of their own, of the newest events; then it is kept
and follows the room's events in memory. (Client-server API, "Receiving notifications".)
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import attrs

from ..api.constants import EventTypes, Membership
from ..server import Homeserver
from ..storage.events import EventsWorkerStore
from ..storage.memberships import MembershipsWorkerStore
from ..storage.push_rules import PushRulesWorkerStore
from ..storage.unread import UnreadRoom, UnreadWorkerStore
from ..streams import BACKFILL, CURRENT_STATE_DELTAS, EVENTS, PUSH_RULES, RECEIPTS, Stream
from ..types.unread import MAIN_THREAD, RoomCounts
from ..util.caches.lru import LruCache
from ..util.caches.missing import Missing
from ._recent import Counter, Record, Tail, Tails, plain_effect
from .classes import DEFAULT_CLASS, DEFAULT_RULES, NOTHING, Effect, RuleClass, UserRules
from .evaluator import Rule
from .facts import PushFacts

_CLASSES = 5_000


@attrs.define(eq=False)
class _Fill:
    """A reading of counts that is under way, with the receipts that came meanwhile."""

    user_id: str
    reads: list[tuple[str, str, int]] = attrs.field(factory=list)


class UnreadCounts:
    """Answers how much users have not read."""

    def __init__(self, hs: Homeserver) -> None:
        self._unread = hs.part(UnreadWorkerStore)
        self._events = hs.part(EventsWorkerStore)
        self._facts = hs.part(PushFacts)
        self._memberships = hs.part(MembershipsWorkerStore)
        self._push_rules = hs.part(PushRulesWorkerStore)
        self._classes: LruCache[tuple[Rule[Effect], ...], RuleClass] = LruCache(
            "push_rule_classes",
            max_entries=_CLASSES,
            size_of=lambda rules: 5000,
            budget=self._events.caches.budget,
        )
        self._told = self._events.current_token(EVENTS)
        self._tails = Tails(self._told, self._events.caches.budget)
        self._fills: list[_Fill] = []
        self._events.follow(self._on_rows)
        self._events.follow_restarts(self._restarted)

    # Following

    def _restarted(self) -> None:
        self._tails.reset(self._told)

    def _on_rows(self, stream: Stream, token: int, rows: Sequence[Any]) -> None:
        if stream is EVENTS:
            self._told = token
            for row in rows:
                self._on_event(token, row)
        elif stream is RECEIPTS:
            for row in rows:
                self._on_receipt(row)
        elif stream is CURRENT_STATE_DELTAS:
            for row in rows:
                if row.type == EventTypes.MEMBER:
                    self._on_member(row)
        elif stream is BACKFILL:
            for row in rows:
                if row.redacts is not None:
                    self._tails.forget(row.room_id, 0)

    def _on_event(self, token: int, row: Any) -> None:
        if row.outlier:
            return
        if row.notice is None:
            self._tails.forget(row.room_id, token)
            return
        self._tails.append(row.room_id, Record(token, row.event_id, row.notice))
        if row.redacts is not None and row.notice[4]:
            self._tails.redact(row.room_id, row.redacts, token)

    def _on_member(self, row: Any) -> None:
        """Somebody has left the room, or has another name there."""
        counter = self._kept(row.state_key, row.room_id)
        if counter is not None and (
            row.membership != Membership.JOIN or counter.rules.evaluator.needs_display_name
        ):
            self._tails.drop(row.room_id, row.state_key)

    def _on_receipt(self, row: Any) -> None:
        for fill in self._fills:
            if fill.user_id == row.user_id:
                fill.reads.append((row.room_id, row.thread_id, row.event_stream_ordering))
        counter = self._kept(row.user_id, row.room_id)
        if counter is None:
            return
        if row.event_stream_ordering:
            counter.read(row.thread_id, row.event_stream_ordering)
        else:
            self._tails.drop(row.room_id, row.user_id)

    # Answering

    async def of_rooms(
        self,
        user_id: str,
        room_ids: Collection[str],
        position: int,
        ignored: frozenset[str] = frozenset(),
    ) -> dict[str, RoomCounts]:
        """The counts of rooms that the user is in, up to a position or further.

        Events of ignored users do not count. Without a query where the counts are kept.
        """
        source = await self._facts.rules_of(user_id)
        members: Mapping[str, int] = {}
        if source.needs_member_count:
            members = await self._memberships.get_joined_counts_for_rooms(room_ids)
        found: dict[str, RoomCounts] = {}
        cold = []
        for room_id in room_ids:
            counter = await self._advanced(
                user_id, room_id, position, source, members.get(room_id, 0), ignored
            )
            if counter is None:
                cold.append(room_id)
            else:
                found[room_id] = counter.answer()
        if cold:
            found.update(await self._read(user_id, cold, position, source, members, ignored))
        return found

    def changed_by_rules(self, user_id: str, room_ids: Iterable[str]) -> list[str]:
        """Rooms of which there are counts, which a change of the user's rules may change."""
        return [room_id for room_id in room_ids if self._kept(user_id, room_id) is not None]

    def _class_of(self, source: UserRules, room_id: str, member_count: int) -> RuleClass:
        rules = source.for_counting(room_id, member_count)
        if rules is DEFAULT_RULES or rules == DEFAULT_RULES:
            return DEFAULT_CLASS
        known = self._classes.get(rules)
        if isinstance(known, Missing):
            known = RuleClass(rules)
            self._classes.set(rules, known)
        return known

    async def _advanced(
        self,
        user_id: str,
        room_id: str,
        position: int,
        source: UserRules,
        member_count: int,
        ignored: frozenset[str],
    ) -> Counter | None:
        """The counter that is kept, brought up to a position; None if there is none that can be."""
        kept = self._tails.counter(room_id, user_id)
        if kept is None:
            return None
        tail, counter = kept
        if counter.ignored != ignored:
            return None
        if counter.source is not source or counter.member_count != member_count:
            if self._class_of(source, room_id, member_count).rules != counter.rules.rules:
                return None
            counter.source, counter.member_count = source, member_count
        records = tail.between(counter.upto, position)
        if records is None:
            return None
        if records and not counter.rules.is_plain:
            await self._look_at(tail, room_id, records, counter.rules)
            records = tail.between(counter.upto, position)
            # A tail that was forgotten meanwhile has not followed what happened since.
            if records is None or self._kept(user_id, room_id) is not counter:
                return None
        for record in records:
            counter.add_record(record)
        counter.upto = max(counter.upto, position)
        if counter.unsure and not counter.count_again(tail):
            return None
        return counter

    async def _look_at(
        self, tail: Tail, room_id: str, records: Sequence[Record], rules: RuleClass
    ) -> None:
        """Evaluate events of a tail for a class, those for which nobody has done so."""
        wanted = [record for record in records if rules not in record.results]
        if not wanted:
            return
        events = await self._events.get_events([record.event_id for record in wanted])
        for record in wanted:
            event = events.get(record.event_id)
            if event is not None:
                result = await self._facts.evaluate(rules.evaluator, event)
                size = len(event.pdu_json)
                self._tails.add_result(tail, room_id, record, rules, result, size)

    # Reading

    async def _read(
        self,
        user_id: str,
        room_ids: Collection[str],
        position: int,
        source: UserRules,
        members: Mapping[str, int],
        ignored: frozenset[str],
    ) -> dict[str, RoomCounts]:
        """Count from the database, and keep what was found."""
        classes = {
            room_id: self._class_of(source, room_id, members.get(room_id, 0))
            for room_id in room_ids
        }
        before = {room_id: self._kept(user_id, room_id) for room_id in room_ids}
        # The tails themselves: one that is forgotten and made anew meanwhile is another.
        tails = {room_id: self._tails.of_room(room_id) for room_id in room_ids}
        versions = {room_id: tail.version for room_id, tail in tails.items()}
        fill = _Fill(user_id)
        self._fills.append(fill)
        try:
            rooms = await self._unread.get_unread(
                user_id,
                {room_id: not rules.is_plain for room_id, rules in classes.items()},
                position,
                ignored,
            )
            counters = {}
            for room_id, unread in rooms.items():
                reader = await self._facts.reader_of(user_id, room_id, classes[room_id].evaluator)
                counters[room_id] = Counter(
                    reader,
                    classes[room_id],
                    source,
                    members.get(room_id, 0),
                    ignored,
                    unread.reads,
                    position,
                )
                _count_stored(counters[room_id], unread)
            await self._count_recent(counters, rooms)
        finally:
            self._fills.remove(fill)
        for room_id, thread_id, read in fill.reads:
            if room_id in counters:
                counters[room_id].read(thread_id, read)
        answers = {}
        for room_id, counter in counters.items():
            self._compare(before[room_id], counter)
            tail = tails[room_id]
            unchanged = self._tails.peek(room_id) is tail and tail.version == versions[room_id]
            if unchanged and not counter.unsure:
                self._tails.keep(room_id, user_id, counter)
            answers[room_id] = counter.answer()
        return answers

    def _kept(self, user_id: str, room_id: str) -> Counter | None:
        tail = self._tails.peek(room_id)
        return None if tail is None else tail.counters.get(user_id)

    def _compare(self, before: Counter | None, counter: Counter) -> None:
        """Say by what counts have changed that were known before."""
        if before is None:
            return
        if before.rules.rules == counter.rules.rules:
            counter.rules_at = before.rules_at
        elif before.counts != counter.counts:
            counter.rules_at = self._push_rules.current_token(PUSH_RULES)

    async def _count_recent(
        self, counters: Mapping[str, Counter], rooms: Mapping[str, UnreadRoom]
    ) -> None:
        """Count the events that have to be looked at."""
        wanted = {
            room_id: [
                event
                for event in unread.recent
                if event.stream_ordering > unread.reads.of(event.thread_id)
                and event.sender != counters[room_id].reader.user_id
                and event.sender not in counters[room_id].ignored
            ]
            for room_id, unread in rooms.items()
        }
        events = await self._events.get_events(
            [event.event_id for recent in wanted.values() for event in recent]
        )
        for room_id, recent in wanted.items():
            counter = counters[room_id]
            for found in recent:
                event = events.get(found.event_id)
                if event is not None and event.metadata.redacted_by is None:
                    result = await self._facts.evaluate(counter.rules.evaluator, event)
                    counter.add(found.thread_id, result.for_reader(counter.reader) or NOTHING)


def _count_stored(counter: Counter, unread: UnreadRoom) -> None:
    """Count by totals and highlights; of a class that is not plain, by what it resembles."""
    like = counter.rules.like
    notify = plain_effect(like, notifies=True, highlights=False)
    counter.add(MAIN_THREAD, notify, unread.main)
    for thread_id, count in unread.threads.items():
        counter.add(thread_id, notify, count)
    for highlight in unread.highlights:
        if highlight.sender in counter.ignored or highlight.sender == counter.reader.user_id:
            continue
        if highlight.is_counted:
            counter.add(highlight.thread_id, notify, -1)
        counter.add(highlight.thread_id, plain_effect(like, notifies=True, highlights=True))
