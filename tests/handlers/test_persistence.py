"""The persist queue: group commit, order, idempotence, forks, redactions, refusals."""

from __future__ import annotations

from typing import Any
from unittest import mock

import attrs

from synapse_lite.api.constants import EventTypes, Membership
from synapse_lite.api.errors import ForbiddenError, InvalidParamError, LimitExceededError
from synapse_lite.events.auth import auth_types_for_event
from synapse_lite.events.builder import build_event
from synapse_lite.events.context import EventContext
from synapse_lite.events.event import Event
from synapse_lite.events.metadata import EventMetadata
from synapse_lite.events.room_versions import ROOM_VERSIONS
from synapse_lite.handlers.event_persister import MAX_WAITING
from synapse_lite.handlers.persistence import LocalEventSink
from synapse_lite.handlers.room_preparation import EventToPersist
from synapse_lite.replication.send_event import SameEventError
from synapse_lite.storage.persist_events import ClientTxn
from synapse_lite.streams import CURRENT_STATE_DELTAS, EVENTS
from synapse_lite.types.requester import Requester
from synapse_lite.util.background import start
from tests.events.support import ALICE, BOB, CAROL, KEY, Room
from tests.harness.databases import DatabaseCase, FileDatabase, MemoryDatabase, PostgresDatabase
from tests.storage.rooms import Servers

VERSION = ROOM_VERSIONS["11"]


def message(room: Room, body: str = "hello", sender: str = ALICE) -> Event:
    return room.send(sender, EventTypes.MESSAGE, {"msgtype": "m.text", "body": body})


class EveryPersistence(DatabaseCase):
    async def servers(self) -> Servers:
        return await Servers(self).start()

    async def room(self, servers: Servers, version: Any = VERSION) -> Room:
        """A public room of Alice, Bob and Carol (who is elsewhere), persisted."""
        room = Room(version)
        room.set_join_rule("public")
        room.set_levels()
        room.join(BOB)
        room.join(CAROL)
        await servers.persist_room(room)
        return room

    async def test_room_from_its_create_event(self) -> None:
        servers = await self.servers()
        for version in ("1", "12"):
            room = Room(ROOM_VERSIONS[version])
            room.set_join_rule("public")
            room.join(BOB)
            await servers.persist_room(room)
            state = await servers.ask("get_current_state_ids", room.room_id)
            self.assertEqual(state, {k: e.event_id for k, e in room.state.items()})
            heads = await servers.ask("get_room_heads", room.room_id)
            self.assertEqual(heads.event_ids, (room.last.event_id,))
            group = heads.state_group
            self.assertEqual(await servers.ask("get_state_ids_for_group", group), state)

    async def test_plain_messages_cost_few_statements_whatever_their_number(self) -> None:
        servers = await self.servers()
        room = await self.room(servers)
        await servers.persist(message(room))
        for count in (1, 50):
            items = [
                EventToPersist(
                    message(room, str(n)),
                    is_local=True,
                    txn=ClientTxn(ALICE, "DEV", room.room_id, f"{count}-{n}"),
                )
                for n in range(count)
            ]
            before = (self.db.counts.transactions, self.db.counts.statements)
            await servers.persister.persist_many(items)
            self.assertEqual(self.db.counts.transactions - before[0], 1)
            self.assertLessEqual(self.db.counts.statements - before[1], 10)

    async def test_join_costs_one_transaction(self) -> None:
        servers = await self.servers()
        room = await self.room(servers)
        await servers.persist(message(room))
        before = (self.db.counts.transactions, self.db.counts.statements)
        await servers.persist(room.join("@eve:one"))
        self.assertEqual(self.db.counts.transactions - before[0], 1)
        self.assertLessEqual(self.db.counts.statements - before[1], 14)

    async def test_events_from_outside_cost_few_statements(self) -> None:
        servers = await self.servers()
        room = await self.room(servers)
        await servers.persist(message(room, sender=CAROL))
        items = [EventToPersist(message(room, str(n), CAROL)) for n in range(20)]
        before = (self.db.counts.transactions, self.db.counts.statements)
        await servers.persister.persist_many(items)
        self.assertEqual(self.db.counts.transactions - before[0], 1)
        self.assertLessEqual(self.db.counts.statements - before[1], 12)

    async def test_same_event_again_is_a_no_op(self) -> None:
        servers = await self.servers()
        room = await self.room(servers)
        event = message(room)
        first = await servers.persist(event)
        later = message(room, "later")
        await servers.persist(later)
        rows = len(servers.rows)
        copy = _copy(event)
        self.assertEqual(await servers.persist(copy), first)
        self.assertEqual(len(servers.rows), rows)
        heads = await servers.ask("get_room_heads", room.room_id)
        self.assertEqual(heads.event_ids, (later.event_id,))

    async def test_same_transaction_id_gives_the_first_event(self) -> None:
        servers = await self.servers()
        room = await self.room(servers)
        txn = ClientTxn(ALICE, "DEV", room.room_id, "t1")
        first = await servers.persist(message(room), txn=txn)
        second = room.make(ALICE, EventTypes.MESSAGE, {"body": "again"})
        self.assertEqual(await servers.persist(second, txn=txn), first)
        self.assertIsNone(await servers.store.get_event(second.event_id, allow_none=True))
        self.assertEqual(
            await servers.ask("get_event_id_for_txn", ALICE, "DEV", room.room_id, "t1"),
            first[0].event_id,
        )
        other_device = ClientTxn(ALICE, "OTHER", room.room_id, "t1")
        third = room.make(ALICE, EventTypes.MESSAGE, {"body": "elsewhere"})
        self.assertEqual(
            (await servers.persist(third, txn=other_device))[0].event_id, third.event_id
        )

    async def test_retry_after_leaving_gives_the_first_event(self) -> None:
        servers = await self.servers()
        room = await self.room(servers)
        txn = ClientTxn(BOB, "DEV", room.room_id, "t1")
        first = await servers.persist(message(room, sender=BOB), txn=txn)
        await servers.persist(room.set_member(BOB, BOB, Membership.LEAVE))
        again = room.make(BOB, EventTypes.MESSAGE, {"body": "again"})
        self.assertEqual(await servers.persist(again, txn=txn), first)

    async def test_same_event_of_another_request_is_not_taken_for_a_retry(self) -> None:
        servers = await self.servers()
        room = await self.room(servers)
        event = message(room)
        txns = [ClientTxn(ALICE, "DEV", room.room_id, name) for name in ("t1", "t2")]
        (first,) = await servers.persist(event, txn=txns[0])
        copy = _copy(event)
        with self.assertRaises(SameEventError) as caught:
            await servers.persist(copy, txn=txns[1])
        self.assertEqual(caught.exception.stream_ordering, first.stream_ordering)
        self.assertEqual(await servers.persist(_copy(event), txn=txns[0]), [first])
        (other,) = await servers.persist(message(room), txn=txns[1])
        self.assertNotEqual(other.event_id, first.event_id)

    async def test_refused_event_of_another_request_stays_refused(self) -> None:
        servers = await self.servers()
        room = await self.room(servers)
        event = message(room, sender=BOB)
        await servers.persist(event, txn=ClientTxn(BOB, "DEV", room.room_id, "t1"))
        await servers.persist(room.set_member(BOB, BOB, Membership.LEAVE))
        with self.assertRaises(ForbiddenError):
            await servers.persist(_copy(event), txn=ClientTxn(BOB, "DEV", room.room_id, "t2"))

    async def test_repeated_event_does_not_hold_up_what_waits_with_it(self) -> None:
        servers = await self.servers()
        room = await self.room(servers)
        event = message(room)
        (first,) = await servers.persist(event)
        new = message(room, "new")
        answers = await servers.persister.persist_many(
            [EventToPersist(_copy(event), is_local=True), EventToPersist(new, is_local=True)]
        )
        self.assertEqual(answers[0], first)
        self.assertEqual(answers[1].event_id, new.event_id)
        self.assertGreater(answers[1].stream_ordering, first.stream_ordering)
        heads = await servers.ask("get_room_heads", room.room_id)
        self.assertEqual(heads.event_ids, (new.event_id,))

    async def test_waiting_events_share_a_commit_and_keep_their_order(self) -> None:
        servers = await self.servers()
        room = await self.room(servers)
        events = [message(room, str(n)) for n in range(30)]
        before = self.db.counts.transactions
        running = [
            start(servers.persister.persist(EventToPersist(event, is_local=True)))
            for event in events
        ]
        answers = [await deferred for deferred in running]
        orderings = [answer.stream_ordering for answer in answers]
        self.assertEqual(orderings, sorted(orderings))
        if not isinstance(self, MemoryDatabase):
            # One for the first, one for all that came while it ran.
            self.assertLessEqual(self.db.counts.transactions - before, 3)

    async def test_forbidden_event_fails_alone(self) -> None:
        servers = await self.servers()
        room = await self.room(servers)
        outsider = room.make("@eve:one", EventTypes.MESSAGE, {"body": "let me"})
        event = message(room)
        running = [
            start(servers.persister.persist(EventToPersist(each, is_local=True)))
            for each in (outsider, event)
        ]
        with self.assertRaises(ForbiddenError):
            await running[0]
        self.assertEqual((await running[1]).event_id, event.event_id)
        self.assertIsNone(await servers.ask("get_event", outsider.event_id, allow_none=True))

    async def test_group_with_a_forbidden_event_leaves_nothing(self) -> None:
        servers = await self.servers()
        room = await self.room(servers)
        good = room.make(ALICE, EventTypes.TOPIC, {"topic": "x"}, "")
        bad = room.make("@eve:one", EventTypes.MESSAGE, {"body": "let me"})
        items = [EventToPersist(event, is_local=True) for event in (good, bad)]
        with self.assertRaises(ForbiddenError):
            await servers.persister.persist_many(items)
        self.assertIsNone(await servers.ask("get_event", good.event_id, allow_none=True))
        state = await servers.ask("get_current_state_ids", room.room_id)
        self.assertNotIn((EventTypes.TOPIC, ""), state)

    async def test_poison_event_does_not_block_others(self) -> None:
        servers = await self.servers()
        room = await self.room(servers)
        poison, good = (
            room.make(ALICE, EventTypes.MESSAGE, {"body": body}) for body in ("poison", "good")
        )
        insert = servers.store._insert_events_txn

        def failing(txn: Any, work: Any) -> None:
            if any(write.event is poison for write in work.events()):
                raise RuntimeError("the database dislikes it")
            insert(txn, work)

        with mock.patch.object(servers.store, "_insert_events_txn", failing):
            items = [EventToPersist(each, is_local=True) for each in (poison, good)]
            groups = self.hold(servers, items)
            with self.assertLogs("synapse_lite.handlers.event_persister", "WARNING"):
                servers.persister._attend_to(room.room_id)
                with self.assertRaises(RuntimeError):
                    await groups[0]
            self.assertEqual((await groups[1])[0].event_id, good.event_id)
        heads = await servers.ask("get_room_heads", room.room_id)
        self.assertEqual(heads.event_ids, (good.event_id,))

    def hold(self, servers: Servers, items: list[EventToPersist]) -> list[Any]:
        """Put events into the queue that shall go into one transaction."""
        room_id = items[0].event.room_id
        servers.persister._busy.add(room_id)
        running = [start(servers.persister.persist_many([item])) for item in items]
        servers.persister._busy.discard(room_id)
        return running

    async def test_all_that_waits_goes_into_one_transaction(self) -> None:
        servers = await self.servers()
        room = await self.room(servers)
        items = [EventToPersist(message(room, str(n)), is_local=True) for n in range(10)]
        running = self.hold(servers, items)
        before = self.db.counts.transactions
        servers.persister._attend_to(room.room_id)
        answers = [(await each)[0].event_id for each in running]
        self.assertEqual(answers, [item.event.event_id for item in items])
        self.assertEqual(self.db.counts.transactions - before, 1)

    async def test_fork_and_merge(self) -> None:
        servers = await self.servers()
        room = await self.room(servers)
        left = room.make(ALICE, EventTypes.MESSAGE, {"body": "left"})
        right = room.make(BOB, EventTypes.MESSAGE, {"body": "right"})
        await servers.persist(left, right)
        heads = await servers.ask("get_room_heads", room.room_id)
        self.assertCountEqual(heads.event_ids, [left.event_id, right.event_id])
        self.assertIsNotNone(heads.state_group)
        merge = _on(room, [left, right], ALICE, EventTypes.TOPIC, {"topic": "x"}, "")
        await servers.persist(merge)
        heads = await servers.ask("get_room_heads", room.room_id)
        self.assertEqual(heads.event_ids, (merge.event_id,))
        state = await servers.ask("get_current_state_ids", room.room_id)
        self.assertEqual(state[(EventTypes.TOPIC, "")], merge.event_id)

    async def test_conflicting_state_is_resolved_alike_in_one_batch_or_several(self) -> None:
        servers = await self.servers()
        room = await self.room(servers)
        ban = room.make(ALICE, EventTypes.MEMBER, {"membership": "ban"}, CAROL)
        name = room.make(CAROL, EventTypes.MEMBER, {"membership": "join", "x": "y"}, CAROL)
        items = [EventToPersist(ban, is_local=True), EventToPersist(name, is_local=False)]
        await servers.persister.persist_many(items)
        state = await servers.ask("get_current_state_ids", room.room_id)
        self.assertEqual(state[(EventTypes.MEMBER, CAROL)], ban.event_id)
        # Carol's event was soft-failed: the current state bans her.
        self.assertTrue((await servers.store.get_event(name.event_id)).metadata.soft_failed)

    async def test_conflicting_branches_resolve_and_deltas_replay(self) -> None:
        servers = await self.servers()
        room = await self.room(servers)
        one = room.make(ALICE, EventTypes.TOPIC, {"topic": "one"}, "", timestamp=10)
        two = room.make(ALICE, EventTypes.NAME, {"name": "two"}, "", timestamp=20)
        three = room.make(ALICE, EventTypes.TOPIC, {"topic": "three"}, "", timestamp=30)
        await servers.persister.persist_many([EventToPersist(e, is_local=True) for e in (one, two)])
        await servers.persist(three)
        state = await servers.ask("get_current_state_ids", room.room_id)
        self.assertEqual(state[(EventTypes.NAME, "")], two.event_id)
        resolved = await servers.states.state_before(
            room.room_id,
            VERSION,
            [
                event.metadata.state_group
                for event in (
                    await servers.store.get_events([one.event_id, two.event_id, three.event_id])
                ).values()
            ],
        )
        self.assertEqual(state, resolved.state)
        replayed: dict[Any, str] = {}
        for _, row in await servers.store.get_current_state_delta_rows(0, servers.now, 1000):
            if row.event_id is None:
                del replayed[(row.type, row.state_key)]
            else:
                replayed[(row.type, row.state_key)] = row.event_id
        self.assertEqual(replayed, state)
        stored = await servers.store.get_current_state_ids_for_rooms_uncached([room.room_id])
        self.assertEqual(stored[room.room_id], state)

    async def test_rejected_event_changes_nothing(self) -> None:
        servers = await self.servers()
        room = await self.room(servers)
        bad = room.make("@mallory:two", EventTypes.MESSAGE, {"body": "x"})
        rows = len(servers.rows)
        await servers.persist(bad)
        self.assertEqual(len(servers.rows), rows)
        self.assertIsNone(await servers.ask("get_event", bad.event_id, allow_none=True))
        stored = await servers.ask("get_event", bad.event_id, allow_rejected=True)
        self.assertIsNotNone(stored.metadata.rejected_reason)
        heads = await servers.ask("get_room_heads", room.room_id)
        self.assertEqual(heads.event_ids, (room.last.event_id,))

    async def test_redaction_prunes_everywhere(self) -> None:
        servers = await self.servers()
        room = await self.room(servers)
        event = message(room, "secret", BOB)
        await servers.persist(event)
        before = await servers.ask("get_event", event.event_id)
        self.assertEqual(before.content["body"], "secret")
        redaction = room.send(ALICE, EventTypes.REDACTION, {"redacts": event.event_id})
        await servers.persist(redaction)
        after = await servers.ask("get_event", event.event_id)
        self.assertEqual(after.content, {})
        self.assertEqual(after.metadata.redacted_by, redaction.event_id)
        self.assertNotIn(b"secret", after.pdu_json)

    async def test_redaction_without_the_power_is_stored_but_has_no_effect(self) -> None:
        servers = await self.servers()
        room = await self.room(servers)
        event = message(room, "keep", ALICE)
        await servers.persist(event)
        redaction = room.send(CAROL, EventTypes.REDACTION, {"redacts": event.event_id})
        await servers.persist(redaction)
        self.assertEqual((await servers.ask("get_event", event.event_id)).content["body"], "keep")
        self.assertIsNotNone(await servers.ask("get_event", redaction.event_id))

    async def test_redaction_before_its_target(self) -> None:
        servers = await self.servers()
        room = await self.room(servers)
        last = room.last
        target = room.send(CAROL, EventTypes.MESSAGE, {"body": "secret"})
        room.last = last
        redaction = room.send(CAROL, EventTypes.REDACTION, {"redacts": target.event_id})
        await servers.persist(redaction)
        await servers.persist(target)
        after = await servers.ask("get_event", target.event_id)
        self.assertEqual(after.metadata.redacted_by, redaction.event_id)
        self.assertEqual(after.content, {})

    async def test_late_event_that_others_follow_is_no_head(self) -> None:
        servers = await self.servers()
        room = await self.room(servers)
        base = room.last
        group = (await servers.store.get_room_heads(room.room_id)).state_group
        missing = message(room, "missing", CAROL)
        follower = message(room, "follower", CAROL)
        await servers.persist(follower, context=EventContext(state_group_before=group))
        self.assertEqual(
            await servers.ask("get_backward_extremities", room.room_id),
            {missing.event_id: follower.depth},
        )
        heads = await servers.ask("get_room_heads", room.room_id)
        self.assertCountEqual(heads.event_ids, [base.event_id, follower.event_id])
        await servers.persist(missing)
        heads = await servers.ask("get_room_heads", room.room_id)
        self.assertEqual(heads.event_ids, (follower.event_id,))
        self.assertEqual(await servers.ask("get_backward_extremities", room.room_id), {})

    async def test_outlier_becomes_an_event_of_the_room(self) -> None:
        servers = await self.servers()
        room = await self.room(servers)
        event = message(room, "first seen alone", CAROL)
        alone = Event(event.pdu, VERSION, event.event_id, EventMetadata(outlier=True))
        await servers.persist(alone)
        self.assertTrue((await servers.ask("get_event", event.event_id)).metadata.outlier)
        (answer,) = await servers.persist(event)
        stored = await servers.ask("get_event", event.event_id)
        self.assertFalse(stored.metadata.outlier)
        self.assertEqual(stored.metadata.stream_ordering, answer.stream_ordering)
        self.assertIsNotNone(stored.metadata.state_group)
        row = servers.rows[-1][2]
        self.assertEqual(row.event_id, event.event_id)
        again = await servers.persist(_copy(event))
        self.assertEqual(again, [answer])

    async def test_backfilled_history(self) -> None:
        servers = await self.servers()
        room = await self.room(servers)
        group = (await servers.store.get_room_heads(room.room_id)).state_group
        old = [room.make(CAROL, EventTypes.MESSAGE, {"body": str(n)}) for n in range(3)]
        heads = await servers.ask("get_room_heads", room.room_id)
        answers = await servers.persister.persist_many(
            [EventToPersist(event, EventContext(state_group_before=group)) for event in old],
            backfilled=True,
        )
        self.assertEqual([answer.stream_ordering for answer in answers], [-1, -2, -3])
        self.assertEqual(await servers.ask("get_room_heads", room.room_id), heads)
        rows = await servers.store.get_backfill_rows(0, 10, 10)
        self.assertEqual(
            [(token, row.event_id) for token, row in rows],
            [(n + 1, event.event_id) for n, event in enumerate(old)],
        )
        self.assertEqual(await servers.store.get_backfill_rows(1, 2, 10), rows[1:2])

    async def test_live_rows_equal_those_of_catching_up(self) -> None:
        servers = await self.servers()
        room = await self.room(servers)
        await servers.persist(message(room), room.send(ALICE, EventTypes.TOPIC, {"topic": "x"}, ""))
        await servers.persist(
            room.send(ALICE, EventTypes.REDACTION, {"redacts": room.last.event_id}),
            room.set_member(ALICE, CAROL, Membership.BAN),
        )
        for stream in (EVENTS, CURRENT_STATE_DELTAS):
            live = [
                (token, stream.to_wire(_without_hints(row)))
                for found, token, row in servers.rows
                if found is stream
            ]
            later = await servers.store.rows_between(stream, 0, servers.now, 1000)
            self.assertEqual([(token, stream.to_wire(row)) for token, row in later], live)
            self.assertTrue(live)

    async def test_queue_is_bounded(self) -> None:
        servers = await self.servers()
        room = await self.room(servers)
        servers.persister._waiting_events = MAX_WAITING
        with self.assertRaises(LimitExceededError):
            await servers.persist(room.make(ALICE, EventTypes.MESSAGE, {"body": "x"}))
        servers.persister._waiting_events = 0
        await servers.persist(message(room))

    async def test_nothing_is_counted_as_waiting_in_the_end(self) -> None:
        servers = await self.servers()
        room = await self.room(servers)
        event = message(room)
        await servers.persist(event, _copy(event))
        items = [
            EventToPersist(_copy(event), is_local=True),
            EventToPersist(message(room), is_local=True),
        ]
        await servers.persister.persist_many(items)
        with self.assertRaises(ForbiddenError):
            await servers.persist(room.make("@eve:one", EventTypes.MESSAGE, {}))
        self.assertEqual(servers.persister._waiting_events, 0)
        self.assertEqual(servers.persister._waiting, {})

    async def test_join_over_federation(self) -> None:
        servers = await self.servers()
        room = Room(VERSION)
        room.set_join_rule("public")
        room.join(CAROL)
        state = dict(room.state)
        room.send(CAROL, EventTypes.MESSAGE, {"body": "not here"})
        join = room.join(BOB)
        outliers = [
            EventToPersist(Event(e.pdu, VERSION, e.event_id, EventMetadata(outlier=True)))
            for e in state.values()
        ]
        rows = len(servers.rows)
        await servers.persister.persist_many(outliers)
        self.assertEqual(len(servers.rows), rows)
        context = EventContext(delta={key: event.event_id for key, event in state.items()})
        await servers.persist(join, context=context, is_local=False)
        current = await servers.ask("get_current_state_ids", room.room_id)
        self.assertEqual(current, {key: event.event_id for key, event in room.state.items()})
        self.assertEqual(
            {(key.type, key.state_key) for _, key in await self.deltas(servers)}, set(room.state)
        )
        members = await servers.ask("get_users_in_room", room.room_id)
        self.assertEqual(members, {ALICE, BOB, CAROL})
        self.assertEqual(list(await servers.ask("get_rooms_for_user", BOB)), [room.room_id])
        self.assertEqual(
            list(await servers.ask("get_backward_extremities", room.room_id)),
            [join.prev_event_ids[0]],
        )
        chain = await servers.ask("get_auth_chain_ids", [join.event_id])
        self.assertEqual(chain, {e.event_id for e in state.values() if e.sender == ALICE})
        await servers.persist(message(room, sender=BOB))

    async def deltas(self, servers: Servers) -> Any:
        return await servers.store.get_current_state_delta_rows(0, servers.now, 1000)

    async def test_invite_into_a_room_that_is_not_known_here(self) -> None:
        servers = await self.servers()
        room = Room(VERSION)
        room.join(CAROL)
        await servers.ask("get_rooms_for_user", BOB)
        invite = room.member(CAROL, BOB, Membership.INVITE)
        alone = Event(invite.pdu, VERSION, invite.event_id, EventMetadata(outlier=True))
        before = servers.now
        await servers.persist(alone)
        (invited,) = (await servers.ask("get_rooms_for_user", BOB)).values()
        self.assertEqual((invited.membership, invited.sender), (Membership.INVITE, CAROL))
        (change,) = await servers.ask("get_membership_changes_for_user", BOB, before, servers.now)
        self.assertEqual((change.membership, change.event_id), (Membership.INVITE, invite.event_id))
        self.assertEqual(await servers.ask("get_current_state_ids", room.room_id), {})
        leave = room.member(BOB, BOB, Membership.LEAVE)
        await servers.persist(
            Event(leave.pdu, VERSION, leave.event_id, EventMetadata(outlier=True))
        )
        self.assertEqual(await servers.ask("get_rooms_for_user", BOB), {})
        for stream in (EVENTS, CURRENT_STATE_DELTAS):
            live = [(t, stream.to_wire(row)) for s, t, row in servers.rows if s is stream]
            later = await servers.store.rows_between(stream, 0, servers.now, 1000)
            self.assertEqual([(token, stream.to_wire(row)) for token, row in later], live)

    async def test_invite_back_into_a_room_that_all_of_us_have_left(self) -> None:
        servers = await self.servers()
        room = Room(VERSION)
        room.set_join_rule("public")
        room.join(CAROL)
        await servers.persist_room(room)
        await servers.persist(room.set_member(ALICE, ALICE, Membership.LEAVE))
        invite = room.member(CAROL, ALICE, Membership.INVITE)
        await servers.persist(
            Event(invite.pdu, VERSION, invite.event_id, EventMetadata(outlier=True))
        )
        (invited,) = (await servers.ask("get_rooms_for_user", ALICE)).values()
        self.assertEqual(invited.event_id, invite.event_id)

    async def test_redaction_of_an_outlier_stays_when_it_becomes_a_normal_event(self) -> None:
        servers = await self.servers()
        room = await self.room(servers)
        event = message(room, "secret", CAROL)
        last = room.last
        room.last = room.state[(EventTypes.MEMBER, CAROL)]
        redaction = room.make(CAROL, EventTypes.REDACTION, {"redacts": event.event_id})
        room.last = last
        await servers.persist(
            Event(event.pdu, VERSION, event.event_id, EventMetadata(outlier=True))
        )
        await servers.persist(redaction)
        self.assertEqual((await servers.ask("get_event", event.event_id)).content, {})
        await servers.persist(event)
        stored = await servers.ask("get_event", event.event_id)
        self.assertEqual(stored.content, {})
        self.assertFalse(stored.metadata.outlier)

    async def test_restart_goes_on_where_it_ended(self) -> None:
        servers = await self.servers()
        room = await self.room(servers)
        event = message(room)
        alone = Event(event.pdu, VERSION, event.event_id, EventMetadata(outlier=True))
        await servers.persist(alone)
        position = servers.now
        again = await Servers(self).start(prepare=False)
        self.assertGreaterEqual(again.now, position)
        (answer,) = await again.persist(event)
        self.assertGreater(answer.stream_ordering, position)


def _copy(event: Event) -> Event:
    return Event(event.pdu, event.room_version, event.event_id, EventMetadata())


def _on(room: Room, prev: list[Event], sender: str, *args: Any) -> Event:
    """An event that follows several."""
    kind, content, state_key = args
    keys = auth_types_for_event(room.version, kind, sender, state_key, content)
    return build_event(
        room_version=room.version,
        room_id=room.room_id,
        sender=sender,
        type=kind,
        content=content,
        state_key=state_key,
        prev_events=prev,
        auth_events=[room.state[key] for key in sorted(keys) if key in room.state],
        depth=max(event.depth for event in prev) + 1,
        origin_server_ts=99_000,
        server_name="one",
        signing_key=KEY,
    )


def _without_hints(row: Any) -> Any:
    return attrs.evolve(row, heads=None, notice=None) if hasattr(row, "heads") else row


class EveryConcurrency(DatabaseCase):
    """Many rooms, many senders, real threads."""

    async def test_everything_acknowledged_is_there_once_and_in_order(self) -> None:
        servers = await Servers(self).start()
        # Version 12, in which rooms have ids of their own in these tests.
        rooms = [Room(ROOM_VERSIONS["12"], {"n": n}) for n in range(5)]
        for room in rooms:
            await servers.persist_room(room)
        sent = []
        for n in range(40):
            for room in rooms:
                event = message(room, str(n))
                txn = ClientTxn(ALICE, "DEV", room.room_id, str(n))
                for _ in range(2 if n % 5 == 0 else 1):
                    item = EventToPersist(_copy(event), is_local=True, txn=txn)
                    sent.append((room, event, start(servers.persister.persist(item))))
        transactions = self.db.counts.transactions
        orderings: dict[str, list[int]] = {room.room_id: [] for room in rooms}
        for room, event, running in sent:
            answer = await running
            self.assertEqual(answer.event_id, event.event_id)
            orderings[room.room_id].append(answer.stream_ordering)
        self.assertLess(self.db.counts.transactions - transactions, len(sent) / 4)
        for room in rooms:
            found = orderings[room.room_id]
            self.assertEqual(found, sorted(found))
            self.assertEqual(len(set(found)), 40)
            part = await servers.ask("get_room_events_since", room.room_id, 0, servers.now, 40)
            self.assertEqual(
                [event.event_id for event in part.events],
                [event.event_id for event in list(room.events.values())[-40:]],
            )
            heads = await servers.ask("get_room_heads", room.room_id)
            self.assertEqual(heads.event_ids, (room.last.event_id,))
        for store in (servers.store, servers.worker):
            store.caches.invalidate_all()
        stored = await servers.store.get_event_rows(0, servers.now, 10_000)
        ids = [row.event_id for _, row in stored]
        self.assertEqual(len(ids), len(set(ids)))
        self.assertEqual(set(ids), {e for room in rooms for e in room.events})
        for room in rooms:
            heads = await servers.ask("get_room_heads", room.room_id)
            self.assertEqual(heads.event_ids, (room.last.event_id,))


class FileConcurrencyTests(EveryConcurrency, FileDatabase):
    """On SQLite in a file, with threads."""


class PostgresConcurrencyTests(EveryConcurrency, PostgresDatabase):
    """On PostgreSQL."""


class EverySink(DatabaseCase):
    """The master's event sink in front of the queue."""

    async def start(self) -> tuple[Servers, Room, LocalEventSink]:
        servers = await Servers(self).start()
        room = Room(VERSION)
        await servers.persist_room(room)
        return servers, room, servers.kernel.part(LocalEventSink)

    async def test_transaction_id_and_device_are_kept(self) -> None:
        servers, room, sink = await self.start()
        event = message(room)
        first = await sink.persist(event, EventContext(), Requester(ALICE, "DEV"), txn_id="t")
        stored = await servers.ask("get_event", event.event_id)
        self.assertEqual((stored.metadata.txn_id, stored.metadata.device_id), ("t", "DEV"))
        again = room.make(ALICE, EventTypes.MESSAGE, {"body": "again"})
        answer = await sink.persist(again, EventContext(), Requester(ALICE, "DEV"), txn_id="t")
        self.assertEqual(answer, first)

    async def test_messages_are_limited_by_user(self) -> None:
        _, room, sink = await self.start()
        for _ in range(3):
            await sink.persist(message(room), EventContext(), Requester(ALICE))
        refused = room.make(ALICE, EventTypes.MESSAGE, {})
        with self.assertRaises(LimitExceededError) as caught:
            await sink.persist(refused, EventContext(), Requester(ALICE))
        self.assertGreater(caught.exception.extra["retry_after_ms"], 0)
        await sink.persist(message(room), EventContext(), Requester(ALICE), ratelimit=False)
        bridge = Requester(ALICE, app_service_id="bridge")
        await sink.persist(message(room), EventContext(), bridge)

    async def test_only_in_ones_own_name(self) -> None:
        _, room, sink = await self.start()
        event = room.make(ALICE, EventTypes.MESSAGE, {})
        with self.assertRaises(ForbiddenError):
            await sink.persist(event, EventContext(), Requester(BOB))
        foreign = room.make(CAROL, EventTypes.MESSAGE, {})
        with self.assertRaises(ForbiddenError):
            await sink.persist_many([(foreign, EventContext())], Requester(CAROL))

    async def test_bad_transaction_id(self) -> None:
        _, room, sink = await self.start()
        event = room.make(ALICE, EventTypes.MESSAGE, {})
        for txn_id in ("a\0b", "x" * 300):
            with self.assertRaises(InvalidParamError):
                await sink.persist(event, EventContext(), Requester(ALICE), txn_id=txn_id)

    async def test_batch_is_atomic_and_in_order(self) -> None:
        _, room, sink = await self.start()
        events = [message(room, str(n)) for n in range(4)]
        pairs = [(event, EventContext()) for event in events]
        answers = await sink.persist_many(pairs, Requester(ALICE))
        self.assertEqual(
            [answer.event_id for answer in answers], [event.event_id for event in events]
        )
        first = answers[0].stream_ordering
        self.assertEqual([a.stream_ordering - first for a in answers], [0, 1, 2, 3])


class MemorySinkTests(EverySink, MemoryDatabase):
    """On SQLite in memory."""


class MemoryPersistenceTests(EveryPersistence, MemoryDatabase):
    """On SQLite in memory."""


class PostgresPersistenceTests(EveryPersistence, PostgresDatabase):
    """On PostgreSQL."""
