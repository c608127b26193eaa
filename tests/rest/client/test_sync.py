"""/sync through the site: of a master, and of a synchrotron that follows one."""

from __future__ import annotations

from typing import Any

from synapse_lite.notifier import Notifier
from synapse_lite.streams import EVENTS
from synapse_lite.types.tokens import StreamToken
from tests.sync.support import QUIET, Client, SyncCase, bodies, state_of


class EverySync(SyncCase):
    def room_of_two(self) -> tuple[Client, Client, str]:
        alice, bob = self.client("alice"), self.client("bob")
        room_id = alice.create_room(name="Room")
        bob.join(room_id)
        return alice, bob, room_id

    def test_initial_sync_shows_a_new_room_whole(self) -> None:
        alice = self.client("alice")
        room_id = alice.create_room(name="Room")
        alice.send(room_id, "one")
        answer = alice.sync()
        room = answer["rooms"]["join"][room_id]
        self.assertEqual(bodies(room), ["one"])
        shown = {(e["type"], e["state_key"]) for e in room["state"]["events"]}
        for event in room["timeline"]["events"]:
            if "state_key" in event:
                self.assertNotIn((event["type"], event["state_key"]), shown)
                shown.add((event["type"], event["state_key"]))
        self.assertIn(("m.room.create", ""), shown)
        self.assertIn(("m.room.name", ""), shown)
        self.assertIn(("m.room.member", alice.user_id), shown)
        self.assertEqual(room["summary"]["m.joined_member_count"], 1)
        self.assertIn("m.push_rules", [e["type"] for e in answer["account_data"]["events"]])

    def test_state_is_that_at_the_start_of_the_timeline(self) -> None:
        alice = self.client("alice")
        room_id = alice.create_room(name="First")
        alice.send(room_id, "before")
        alice.set_state(room_id, "m.room.name", {"name": "Second"})
        alice.send(room_id, "after")
        room = alice.sync(filter={"room": {"timeline": {"limit": 2}}})["rooms"]["join"][room_id]
        self.assertTrue(room["timeline"]["limited"])
        self.assertEqual(len(room["timeline"]["events"]), 2)
        self.assertEqual(state_of(room)["m.room.name", ""], {"name": "First"})
        alice.since = None
        room = alice.sync(filter={"room": {"timeline": {"limit": 1}}})["rooms"]["join"][room_id]
        self.assertEqual(state_of(room)["m.room.name", ""], {"name": "Second"})

    def test_nothing_new(self) -> None:
        alice, _, _ = self.room_of_two()
        alice.sync()
        alice.sync()
        before = self.transactions
        answer = alice.sync()
        self.assertEqual(set(answer), QUIET)
        self.assertEqual(self.transactions, before)

    def test_incremental_has_what_is_new_and_no_state(self) -> None:
        alice, bob, room_id = self.room_of_two()
        bob.sync()
        first = alice.send(room_id, "one")
        alice.send(room_id, "two")
        room = bob.sync()["rooms"]["join"][room_id]
        self.assertEqual(bodies(room), ["one", "two"])
        self.assertFalse(room["timeline"]["limited"])
        self.assertEqual(room["state"]["events"], [])
        self.assertNotIn("summary", room)
        event = room["timeline"]["events"][0]
        self.assertEqual(event["event_id"], first)
        self.assertNotIn("room_id", event)
        self.assertNotIn("transaction_id", event["unsigned"])

    def test_own_message_comes_with_its_transaction_id(self) -> None:
        alice, bob, room_id = self.room_of_two()
        alice.sync()
        bob.sync()
        self.master.send(alice.token, room_id, "mine", txn_id="t1")
        bob.send(room_id, "yours")
        events = alice.sync()["rooms"]["join"][room_id]["timeline"]["events"]
        self.assertEqual(events[0]["unsigned"]["transaction_id"], "t1")
        self.assertNotIn("transaction_id", events[1]["unsigned"])
        other = bob.sync()["rooms"]["join"][room_id]["timeline"]["events"]
        self.assertNotIn("transaction_id", other[0]["unsigned"])

    def test_state_changes_are_in_the_timeline_or_before_it(self) -> None:
        alice, bob, room_id = self.room_of_two()
        bob.sync()
        alice.set_state(room_id, "m.room.topic", {"topic": "in the gap"})
        alice.set_state(room_id, "m.room.name", {"name": "in the gap"})
        alice.send(room_id, "1")
        alice.set_state(room_id, "m.room.name", {"name": "in the timeline"})
        room = bob.sync(filter={"room": {"timeline": {"limit": 2}}})["rooms"]["join"][room_id]
        self.assertTrue(room["timeline"]["limited"])
        state = state_of(room)
        self.assertEqual(state["m.room.topic", ""], {"topic": "in the gap"})
        self.assertEqual(state["m.room.name", ""], {"name": "in the gap"})
        self.assertEqual(len(state), 2)

    def test_gap_can_be_paged_through(self) -> None:
        alice, bob, room_id = self.room_of_two()
        bob.sync()
        for number in range(8):
            alice.send(room_id, str(number))
        room = bob.sync(filter={"room": {"timeline": {"limit": 3}}})["rooms"]["join"][room_id]
        self.assertEqual(bodies(room), ["5", "6", "7"])
        page = bob.ok(
            "GET", f"rooms/{room_id}/messages?dir=b&from={room['timeline']['prev_batch']}&limit=5"
        )
        self.assertEqual([e["content"]["body"] for e in page["chunk"]], ["4", "3", "2", "1", "0"])

    def test_full_state(self) -> None:
        alice, bob, room_id = self.room_of_two()
        bob.sync()
        answer = bob.sync(full_state=True, timeout=30000)
        room = answer["rooms"]["join"][room_id]
        self.assertEqual(room["timeline"]["events"], [])
        state = state_of(room)
        self.assertEqual(state["m.room.name", ""], {"name": "Room"})
        self.assertIn(("m.room.member", alice.user_id), state)

    # Memberships

    def test_newly_joined_room_is_complete(self) -> None:
        alice, bob = self.client("alice"), self.client("bob")
        room_id = alice.create_room(name="Room")
        alice.send(room_id, "history")
        bob.sync()
        bob.join(room_id)
        room = bob.sync()["rooms"]["join"][room_id]
        self.assertIn("history", bodies(room))
        keys = set(state_of(room)) | {
            (e["type"], e["state_key"]) for e in room["timeline"]["events"] if "state_key" in e
        }
        self.assertIn(("m.room.create", ""), keys)
        self.assertIn(("m.room.member", alice.user_id), keys)
        self.assertEqual(room["summary"]["m.joined_member_count"], 2)

    def test_history_that_was_closed_stays_closed(self) -> None:
        alice, bob = self.client("alice"), self.client("bob")
        room_id = alice.create_room(
            name="Room",
            initial_state=[
                {
                    "type": "m.room.history_visibility",
                    "content": {"history_visibility": "joined"},
                }
            ],
        )
        alice.send(room_id, "secret")
        bob.join(room_id)
        alice.send(room_id, "welcome")
        room = bob.sync()["rooms"]["join"][room_id]
        self.assertEqual(bodies(room), ["welcome"])

    def test_profile_change_is_no_new_join(self) -> None:
        alice, _, room_id = self.room_of_two()
        alice.sync()
        alice.set_state(
            room_id, "m.room.member", {"membership": "join", "displayname": "A"}, alice.user_id
        )
        room = alice.sync()["rooms"]["join"][room_id]
        self.assertEqual(len(room["timeline"]["events"]), 1)
        self.assertEqual(room["state"]["events"], [])

    def test_state_after_the_timeline(self) -> None:
        alice, bob, room_id = self.room_of_two()
        after = {"use_state_after": True, "filter": {"room": {"timeline": {"limit": 1}}}}
        room = bob.sync(**after)["rooms"]["join"][room_id]
        self.assertNotIn("state", room)
        shown = {(e["type"], e["state_key"]): e for e in room["state_after"]["events"]}
        self.assertEqual(shown["m.room.name", ""]["content"], {"name": "Room"})
        (joined,) = room["timeline"]["events"]
        self.assertEqual(shown["m.room.member", bob.user_id]["event_id"], joined["event_id"])
        alice.set_state(room_id, "m.room.name", {"name": "Second"})
        room = bob.sync(**after)["rooms"]["join"][room_id]
        self.assertNotIn("state", room)
        self.assertEqual([e["type"] for e in room["timeline"]["events"]], ["m.room.name"])
        shown_names = [e["content"] for e in room["state_after"]["events"]]
        self.assertEqual(shown_names, [{"name": "Second"}])
        bob.leave(room_id)
        room = bob.sync(**after)["rooms"]["leave"][room_id]
        self.assertNotIn("state", room)
        shown_members = [e["content"]["membership"] for e in room["state_after"]["events"]]
        self.assertEqual(shown_members, ["leave"])

    def test_state_after_the_refusal_of_an_invite(self) -> None:
        alice, bob = self.client("alice"), self.client("bob")
        room_id = alice.create_room(preset="private_chat")
        alice.invite(room_id, bob.user_id)
        bob.sync(use_state_after=True)
        bob.leave(room_id)
        room = bob.sync(use_state_after=True)["rooms"]["leave"][room_id]
        (left,) = room["timeline"]["events"]
        self.assertEqual([e["event_id"] for e in room["state_after"]["events"]], [left["event_id"]])

    def test_invite_and_its_refusal(self) -> None:
        alice, bob = self.client("alice"), self.client("bob")
        room_id = alice.create_room(preset="private_chat", name="Secret")
        bob.sync()
        alice.invite(room_id, bob.user_id)
        answer = bob.sync()
        state = {
            (e["type"], e["state_key"]): e["content"]
            for e in answer["rooms"]["invite"][room_id]["invite_state"]["events"]
        }
        self.assertEqual(state["m.room.name", ""], {"name": "Secret"})
        self.assertEqual(state["m.room.member", bob.user_id]["membership"], "invite")
        self.assertEqual(state["m.room.member", alice.user_id]["displayname"], "alice")
        self.assertNotIn("rooms", bob.sync())
        bob.leave(room_id)
        rooms = bob.sync()["rooms"]
        self.assertNotIn("invite", rooms)
        events = rooms["leave"][room_id]["timeline"]["events"]
        self.assertEqual([e["content"]["membership"] for e in events], ["leave"])
        self.assertEqual(rooms["leave"][room_id]["state"]["events"], [])
        bob.since = None
        self.assertNotIn("rooms", bob.sync())

    def test_invite_is_in_an_initial_sync(self) -> None:
        alice, bob = self.client("alice"), self.client("bob")
        room_id = alice.create_room(preset="private_chat", invite=[bob.user_id])
        self.assertEqual(list(bob.sync()["rooms"]["invite"]), [room_id])

    def test_left_room_ends_with_the_leave(self) -> None:
        alice, bob, room_id = self.room_of_two()
        bob.sync()
        alice.send(room_id, "last")
        bob.leave(room_id)
        alice.send(room_id, "not for bob")
        rooms = bob.sync()["rooms"]
        self.assertNotIn("join", rooms)
        room = rooms["leave"][room_id]
        self.assertEqual(bodies(room), ["last"])
        self.assertEqual(room["timeline"]["events"][-1]["content"]["membership"], "leave")
        alice.send(room_id, "nor this")
        self.assertNotIn("rooms", bob.sync())

    def test_kick_is_told(self) -> None:
        alice, bob, room_id = self.room_of_two()
        bob.sync()
        alice.ok("POST", f"rooms/{room_id}/kick", {"user_id": bob.user_id, "reason": "why"})
        room = bob.sync()["rooms"]["leave"][room_id]
        self.assertEqual(room["timeline"]["events"][-1]["content"]["reason"], "why")

    def test_joined_and_left_between_two_syncs(self) -> None:
        alice, bob = self.client("alice"), self.client("bob")
        room_id = alice.create_room(name="Room")
        bob.sync()
        bob.join(room_id)
        alice.send(room_id, "hello bob")
        bob.leave(room_id)
        alice.send(room_id, "bye bob")
        room = bob.sync()["rooms"]["leave"][room_id]
        self.assertIn("hello bob", bodies(room))
        self.assertNotIn("bye bob", bodies(room))

    def test_left_rooms_only_if_wanted(self) -> None:
        alice, bob, room_id = self.room_of_two()
        alice.send(room_id, "seen")
        bob.leave(room_id)
        alice.send(room_id, "unseen")
        self.assertNotIn("rooms", bob.sync())
        bob.since = None
        room = bob.sync(filter={"room": {"include_leave": True}})["rooms"]["leave"][room_id]
        self.assertIn("seen", bodies(room))
        self.assertNotIn("unseen", bodies(room))
        bob.ok("POST", f"rooms/{room_id}/forget", {})
        bob.since = None
        self.assertNotIn("rooms", bob.sync(filter={"room": {"include_leave": True}}))

    def test_knock(self) -> None:
        alice, bob = self.client("alice"), self.client("bob")
        room_id = alice.create_room(
            name="Door",
            initial_state=[{"type": "m.room.join_rules", "content": {"join_rule": "knock"}}],
        )
        bob.sync()
        bob.ok("POST", f"knock/{room_id}", {})
        state = bob.sync()["rooms"]["knock"][room_id]["knock_state"]["events"]
        self.assertIn({"name": "Door"}, [e["content"] for e in state])

    # Summaries and lazy loading

    def test_heroes_of_a_nameless_room(self) -> None:
        alice = self.client("alice")
        others = [self.client(f"user{number}") for number in range(7)]
        room_id = alice.create_room()
        for other in others:
            other.join(room_id)
        summary = alice.sync()["rooms"]["join"][room_id]["summary"]
        self.assertEqual(summary["m.heroes"], [other.user_id for other in others[:5]])
        self.assertEqual(summary["m.joined_member_count"], 8)
        others[0].leave(room_id)
        summary = alice.sync()["rooms"]["join"][room_id]["summary"]
        self.assertEqual(summary["m.heroes"], [other.user_id for other in others[1:6]])
        self.assertEqual(summary["m.joined_member_count"], 7)

    def test_left_users_are_heroes_of_an_empty_room(self) -> None:
        alice, bob = self.client("alice"), self.client("bob")
        room_id = alice.create_room()
        bob.join(room_id)
        bob.leave(room_id)
        summary = alice.sync()["rooms"]["join"][room_id]["summary"]
        self.assertEqual(summary["m.heroes"], [bob.user_id])

    def test_lazy_members(self) -> None:
        alice, bob, room_id = self.room_of_two()
        carol = self.client("carol")
        carol.join(room_id)
        for number in range(12):
            bob.send(room_id, str(number))
        wanted = {"room": {"state": {"lazy_load_members": True}, "timeline": {"limit": 5}}}
        members = _members(alice.sync(filter=wanted)["rooms"]["join"][room_id])
        self.assertEqual(members, {alice.user_id, bob.user_id})
        bob.send(room_id, "again")
        self.assertEqual(_members(alice.sync(filter=wanted)["rooms"]["join"][room_id]), set())
        carol.send(room_id, "hello")
        since = alice.since
        room = alice.sync(filter=wanted)["rooms"]["join"][room_id]
        self.assertEqual(_members(room), {carol.user_id})
        # The answer may have been lost: asked again, it holds the same.
        alice.since = since
        room = alice.sync(filter=wanted)["rooms"]["join"][room_id]
        self.assertEqual(_members(room), {carol.user_id})
        carol.send(room_id, "again")
        self.assertEqual(_members(alice.sync(filter=wanted)["rooms"]["join"][room_id]), set())

    def test_lazy_members_come_again_when_wanted(self) -> None:
        alice, bob, room_id = self.room_of_two()
        bob.send(room_id, "one")
        wanted = {"room": {"state": {"lazy_load_members": True, "include_redundant_members": True}}}
        alice.sync(filter=wanted)
        bob.send(room_id, "two")
        room = alice.sync(filter=wanted)["rooms"]["join"][room_id]
        self.assertEqual(_members(room), {bob.user_id})

    def test_joins_in_a_gap_are_told_to_lazy_clients(self) -> None:
        alice, bob, room_id = self.room_of_two()
        wanted = {"room": {"state": {"lazy_load_members": True}, "timeline": {"limit": 1}}}
        alice.sync(filter=wanted)
        carol = self.client("carol")
        carol.join(room_id)
        bob.send(room_id, "1")
        bob.send(room_id, "2")
        room = alice.sync(filter=wanted)["rooms"]["join"][room_id]
        self.assertIn(carol.user_id, _members(room))

    # Filters

    def test_timeline_filter_moves_state_events_into_the_state(self) -> None:
        alice, bob, room_id = self.room_of_two()
        bob.sync()
        alice.set_state(room_id, "m.room.topic", {"topic": "new"})
        alice.send(room_id, "text")
        wanted = {"room": {"timeline": {"types": ["m.room.mess*"]}}}
        room = bob.sync(filter=wanted)["rooms"]["join"][room_id]
        self.assertEqual(bodies(room), ["text"])
        self.assertEqual(len(room["timeline"]["events"]), 1)
        self.assertEqual(state_of(room)["m.room.topic", ""], {"topic": "new"})

    def test_rooms_and_senders(self) -> None:
        alice, bob, room_id = self.room_of_two()
        other = alice.create_room()
        bob.join(other)
        bob.sync()
        alice.send(room_id, "a")
        bob.send(room_id, "b")
        alice.send(other, "c")
        wanted = {"room": {"not_rooms": [other], "timeline": {"not_senders": [bob.user_id]}}}
        rooms = bob.sync(filter=wanted)["rooms"]["join"]
        self.assertEqual(list(rooms), [room_id])
        self.assertEqual(bodies(rooms[room_id]), ["a"])

    def test_stored_filter(self) -> None:
        alice, _, room_id = self.room_of_two()
        alice.send(room_id, "one")
        definition = {"room": {"timeline": {"limit": 1}}}
        path = f"user/{alice.user_id}/filter"
        filter_id = alice.ok("POST", path, definition)["filter_id"]
        self.assertEqual(alice.ok("POST", path, definition)["filter_id"], filter_id)
        answer = self.door.request("GET", f"{path}/{filter_id}", access_token=alice.token)
        self.assertEqual(answer.json, definition)
        room = alice.sync(filter=filter_id)["rooms"]["join"][room_id]
        self.assertEqual(len(room["timeline"]["events"]), 1)

    def test_filters_are_private(self) -> None:
        alice, bob = self.client("alice"), self.client("bob")
        path = f"user/{alice.user_id}/filter"
        self.assertEqual(self.master.request("POST", path, {}, bob.token).status, 403)
        alice.ok("POST", path, {})
        answer = self.door.request("GET", f"{path}/0", access_token=bob.token)
        self.assertEqual(answer.status, 403)
        answer = self.door.request("GET", f"{path}/7", access_token=alice.token)
        self.assertEqual(answer.json["errcode"], "M_NOT_FOUND")

    def test_bad_requests(self) -> None:
        alice = self.client("alice")
        for options in (
            {"since": "nonsense"},
            {"since": ""},
            {"since": "s1_2_3_4_5_6_7_8_9"},
            {"filter": "99"},
            {"filter": "x"},
            {"filter": "{"},
            {"filter": '{"room":[]}'},
            {"filter": '{"room":{"timeline":{"limit":-1}}}'},
            {"filter": '{"room":{"timeline":{"senders":["nobody"]}}}'},
            {"timeout": "-1"},
            {"full_state": "maybe"},
            {"set_presence": "asleep"},
        ):
            answer = self.door.request("GET", alice.path(**options), access_token=alice.token)
            self.assertEqual(answer.status, 400, options)
        self.assertEqual(self.door.request("GET", alice.path()).status, 401)

    # Waiting

    def test_everything_that_happens_ends_a_wait(self) -> None:
        alice, bob, room_id = self.room_of_two()
        carol = self.client("carol")
        third = carol.create_room(preset="private_chat")
        bob.sync()

        def happen(what: Any) -> Any:
            waiting = bob.start_sync()
            self.assertIsNone(waiting.answer())
            what()
            return bob.finish_sync(waiting)["rooms"]

        rooms = happen(lambda: alice.send(room_id, "hello"))
        self.assertEqual(bodies(rooms["join"][room_id]), ["hello"])
        rooms = happen(lambda: alice.set_state(room_id, "m.room.topic", {"topic": "t"}))
        self.assertEqual(len(rooms["join"][room_id]["timeline"]["events"]), 1)
        rooms = happen(lambda: carol.join(room_id))
        self.assertEqual(rooms["join"][room_id]["summary"]["m.joined_member_count"], 3)
        rooms = happen(lambda: carol.invite(third, bob.user_id))
        self.assertIn(third, rooms["invite"])
        rooms = happen(lambda: bob.join(third))
        self.assertIn(third, rooms["join"])
        rooms = happen(lambda: carol.send(third, "in"))
        self.assertEqual(bodies(rooms["join"][third]), ["in"])
        rooms = happen(lambda: bob.leave(third))
        self.assertIn(third, rooms["leave"])
        waiting = bob.start_sync()
        carol.send(third, "out")
        waiting.pump(rounds=5)
        self.assertIsNone(waiting.answer())
        waiting.disconnect()

    def test_wait_ends_when_its_time_is_up(self) -> None:
        alice, _, _ = self.room_of_two()
        alice.sync()
        waiting = alice.start_sync(timeout_ms=10_000)
        self.master.reactor.advance(9.8)
        self.assertIsNone(waiting.answer())
        self.master.reactor.advance(0.3)
        self.assertEqual(set(alice.finish_sync(waiting)), QUIET)

    def test_initial_sync_does_not_wait(self) -> None:
        alice = self.client("alice")
        self.assertIn("next_batch", alice.finish_sync(alice.start_sync()))

    def test_client_that_goes_away_leaves_nothing_behind(self) -> None:
        alice, bob, room_id = self.room_of_two()
        alice.sync()
        notifier = self.door.hs.part(Notifier)
        waiting = alice.start_sync()
        self.assertEqual(len(notifier), 1)
        waiting.disconnect()
        self.assertEqual(len(notifier), 0)
        bob.send(room_id, "nobody waits")
        self.assertEqual(bodies(alice.sync()["rooms"]["join"][room_id]), ["nobody waits"])

    def test_what_the_filter_hides_does_not_end_a_wait(self) -> None:
        alice, bob, room_id = self.room_of_two()
        # A notice notifies nobody, so it changes no count either.
        wanted = {"room": {"timeline": {"not_types": ["m.room.message"]}}}
        alice.sync(filter=wanted)
        waiting = alice.start_sync(filter=wanted)
        notice = {"msgtype": "m.notice", "body": "hidden"}
        bob.ok("PUT", f"rooms/{room_id}/send/m.room.message/hidden", notice)
        waiting.pump(rounds=5)
        self.assertIsNone(waiting.answer())
        bob.ok("POST", f"rooms/{room_id}/leave", {})
        self.assertIn(room_id, alice.finish_sync(waiting)["rooms"]["join"])

    def test_token_from_the_future(self) -> None:
        alice, _, _ = self.room_of_two()
        alice.sync()
        token = StreamToken.from_text(alice.since or "")
        alice.since = StreamToken(token.events + 1000).to_text()
        waiting = alice.start_sync(timeout_ms=0)
        self.assertIsNone(waiting.answer())
        self.master.reactor.advance(2.1)
        answer = alice.finish_sync(waiting)
        self.assertEqual(StreamToken.from_text(answer["next_batch"]).events, token.events)

    def test_old_token_of_fewer_parts(self) -> None:
        alice, bob, room_id = self.room_of_two()
        alice.sync()
        token = StreamToken.from_text(alice.since or "")
        bob.send(room_id, "new")
        alice.since = f"s{token.events}"
        self.assertEqual(bodies(alice.sync()["rooms"]["join"][room_id]), ["new"])

    # Receipts, typing, account data

    def receipt(self, client: Client, room_id: str, event_id: str, kind: str = "m.read") -> None:
        client.ok("POST", f"rooms/{room_id}/receipt/{kind}/{event_id}", {})

    def type(self, client: Client, room_id: str, typing: bool = True) -> None:
        body = {"typing": True, "timeout": 20_000} if typing else {"typing": False}
        client.ok("PUT", f"rooms/{room_id}/typing/{client.user_id}", body)

    def test_receipts(self) -> None:
        alice, bob, room_id = self.room_of_two()
        event_id = alice.send(room_id, "read me")
        alice.sync()
        waiting = alice.start_sync()
        self.receipt(bob, room_id, event_id)
        room = alice.finish_sync(waiting)["rooms"]["join"][room_id]
        self.assertEqual(room["timeline"]["events"], [])
        (event,) = room["ephemeral"]["events"]
        self.assertEqual(event["type"], "m.receipt")
        self.assertEqual(list(event["content"][event_id]["m.read"]), [bob.user_id])
        before = self.transactions
        self.assertNotIn("rooms", alice.sync())
        self.assertEqual(self.transactions, before)
        alice.since = None
        room = alice.sync()["rooms"]["join"][room_id]
        self.assertEqual([e["type"] for e in room["ephemeral"]["events"]], ["m.receipt"])

    def test_new_receipt_costs_no_transaction(self) -> None:
        alice, bob, room_id = self.room_of_two()
        event_id = alice.send(room_id, "read me")
        alice.sync()
        alice.sync()
        self.receipt(bob, room_id, event_id)
        before = self.transactions
        self.assertIn("rooms", alice.sync())
        self.assertEqual(self.transactions, before)

    def test_private_receipt_is_shown_to_its_owner_alone(self) -> None:
        alice, bob, room_id = self.room_of_two()
        event_id = alice.send(room_id, "read me")
        alice.sync()
        bob.sync()
        waiting = alice.start_sync()
        self.receipt(bob, room_id, event_id, "m.read.private")
        (event,) = bob.sync()["rooms"]["join"][room_id]["ephemeral"]["events"]
        self.assertEqual(list(event["content"][event_id]), ["m.read.private"])
        waiting.pump(rounds=5)
        self.assertIsNone(waiting.answer())
        waiting.disconnect()
        alice.since = None
        room = alice.sync()["rooms"]["join"][room_id]
        self.assertEqual(room["ephemeral"]["events"], [])

    def test_typing(self) -> None:
        alice, bob, room_id = self.room_of_two()
        alice.sync()
        for typing, users in ((True, [bob.user_id]), (False, [])):
            waiting = alice.start_sync()
            self.type(bob, room_id, typing)
            (event,) = alice.finish_sync(waiting)["rooms"]["join"][room_id]["ephemeral"]["events"]
            self.assertEqual(event, {"type": "m.typing", "content": {"user_ids": users}})
        self.assertNotIn("rooms", alice.sync())

    def test_typing_in_two_rooms_at_once(self) -> None:
        alice, bob, room_id = self.room_of_two()
        other = alice.create_room()
        bob.join(other)
        alice.sync()
        self.type(bob, room_id)
        self.type(bob, other)
        rooms = alice.sync()["rooms"]["join"]
        self.assertEqual(set(rooms), {room_id, other})

    def test_ephemeral_filter(self) -> None:
        alice, bob, room_id = self.room_of_two()
        event_id = alice.send(room_id, "read me")
        alice.sync()
        self.type(bob, room_id)
        self.receipt(bob, room_id, event_id)
        wanted = {"room": {"ephemeral": {"types": ["m.receipt"]}}}
        room = alice.sync(filter=wanted)["rooms"]["join"][room_id]
        self.assertEqual([e["type"] for e in room["ephemeral"]["events"]], ["m.receipt"])

    def test_global_account_data(self) -> None:
        alice = self.client("alice")
        alice.sync()
        waiting = alice.start_sync()
        alice.ok("PUT", f"user/{alice.user_id}/account_data/org.test", {"a": 1})
        expected = [{"type": "org.test", "content": {"a": 1}}]
        self.assertEqual(alice.finish_sync(waiting)["account_data"]["events"], expected)
        self.assertNotIn("account_data", alice.sync())
        alice.since = None
        self.assertIn(expected[0], alice.sync()["account_data"]["events"])

    def test_account_data_of_rooms_and_tags(self) -> None:
        alice, bob, room_id = self.room_of_two()
        alice.sync()
        bob.sync()
        path = f"user/{alice.user_id}/rooms/{room_id}"
        waiting = alice.start_sync()
        alice.ok("PUT", f"{path}/account_data/org.test", {"a": 1})
        room = alice.finish_sync(waiting)["rooms"]["join"][room_id]
        kept = [{"type": "org.test", "content": {"a": 1}}]
        self.assertEqual(room["account_data"]["events"], kept)
        self.assertEqual(room["timeline"]["events"], [])
        waiting = alice.start_sync()
        alice.ok("PUT", f"{path}/tags/m.favourite", {"order": 0.5})
        tag = {"type": "m.tag", "content": {"tags": {"m.favourite": {"order": 0.5}}}}
        room = alice.finish_sync(waiting)["rooms"]["join"][room_id]
        self.assertEqual(room["account_data"]["events"], [tag])
        alice.ok("DELETE", f"{path}/tags/m.favourite")
        room = alice.sync()["rooms"]["join"][room_id]
        empty = {"type": "m.tag", "content": {"tags": {}}}
        self.assertEqual(room["account_data"]["events"], [empty])
        alice.since = None
        room = alice.sync()["rooms"]["join"][room_id]
        self.assertEqual(room["account_data"]["events"], kept)
        self.assertNotIn("rooms", bob.sync())

    def test_push_rules(self) -> None:
        alice = self.client("alice")
        alice.sync()
        waiting = alice.start_sync()
        alice.ok("PUT", "pushrules/global/content/cake", {"pattern": "cake", "actions": ["notify"]})
        (event,) = alice.finish_sync(waiting)["account_data"]["events"]
        self.assertEqual(event["type"], "m.push_rules")
        self.assertEqual(event["content"]["global"]["content"][0]["rule_id"], "cake")
        self.assertNotIn("account_data", alice.sync())

    def test_ignored_users(self) -> None:
        alice, bob, room_id = self.room_of_two()
        carol = self.client("carol")
        carol.join(room_id)
        third = carol.create_room(preset="private_chat")
        alice.ok(
            "PUT",
            f"user/{alice.user_id}/account_data/m.ignored_user_list",
            {"ignored_users": {carol.user_id: {}}},
        )
        alice.sync()
        carol.send(room_id, "spam")
        bob.send(room_id, "ham")
        carol.set_state(
            room_id, "m.room.member", {"membership": "join", "displayname": "C"}, carol.user_id
        )
        carol.invite(third, alice.user_id)
        rooms = alice.sync()["rooms"]
        self.assertNotIn("invite", rooms)
        self.assertEqual(bodies(rooms["join"][room_id]), ["ham"])
        self.assertEqual(len(rooms["join"][room_id]["timeline"]["events"]), 2)
        bob.sync()
        alice.ok(
            "PUT",
            f"user/{alice.user_id}/account_data/m.ignored_user_list",
            {"ignored_users": "nonsense"},
        )
        carol.send(room_id, "again")
        self.assertEqual(bodies(alice.sync()["rooms"]["join"][room_id]), ["again"])

    # Redactions

    def test_redacted_content_is_not_shown_from_what_was_kept(self) -> None:
        alice, bob, room_id = self.room_of_two()
        bob.sync()
        since = bob.since
        event_id = alice.send(room_id, "oops")
        bob.sync()
        alice.ok("PUT", f"rooms/{room_id}/redact/{event_id}/r1", {})
        bob.since = since
        room = bob.sync()["rooms"]["join"][room_id]
        self.assertEqual(bodies(room), [None])
        self.assertIn("redacted_because", room["timeline"]["events"][0]["unsigned"])

    # Costs

    def test_new_events_of_active_rooms_cost_no_transaction(self) -> None:
        alice, bob, room_id = self.room_of_two()
        bob.sync()
        alice.send(room_id, "warm")
        bob.sync()
        for number in range(3):
            alice.send(room_id, str(number))
            before = self.transactions
            self.assertEqual(bodies(self._sync_counted(bob, before)[room_id]), [str(number)])

    def _sync_counted(self, client: Client, before: int) -> Any:
        rooms = client.sync()["rooms"]["join"]
        allowed = 1 if self.at_worker else 0  # a worker reads each new event once
        self.assertLessEqual(self.transactions - before, allowed)
        return rooms

    def test_second_reader_of_a_new_event_costs_no_transaction(self) -> None:
        alice, bob, room_id = self.room_of_two()
        carol = self.client("carol")
        carol.join(room_id)
        for client in (bob, carol):
            client.sync()
            client.sync()
        alice.send(room_id, "new")
        bob.sync()
        before = self.transactions
        self.assertEqual(bodies(carol.sync()["rooms"]["join"][room_id]), ["new"])
        self.assertEqual(self.transactions, before)

    def test_initial_sync_is_read_in_sets(self) -> None:
        alice = self.client("alice")
        rooms = [alice.create_room(name=f"Room {number}") for number in range(40)]
        nameless = alice.create_room()
        alice.sync(filter={"room": {"rooms": [nameless]}})
        self._forget_everything()
        alice.since = None
        before = self.transactions
        answer = alice.sync()
        self.assertEqual(set(answer["rooms"]["join"]), {*rooms, nameless})
        self.assertLessEqual(self.transactions - before, 6 + 41 / 100)

    def _forget_everything(self) -> None:
        """As after a restart: nothing of the rooms is in memory."""
        store = self.door.store
        for name in (
            "get_stored_event",
            "get_current_state_ids",
            "get_room_members",
            "get_room_heroes",
        ):
            getattr(store, name).invalidate_all()
        store._timelines_reset(store.current_token(EVENTS))

    def test_initial_sync_of_left_rooms_is_read_in_sets(self) -> None:
        alice, bob = self.client("alice"), self.client("bob")
        counts = []
        for rooms in (1, 2, 12):  # the first also reads about the account
            for _ in range(rooms):
                room_id = alice.create_room(
                    initial_state=[
                        {
                            "type": "m.room.history_visibility",
                            "content": {"history_visibility": "joined"},
                        }
                    ]
                )
                bob.join(room_id)
                bob.leave(room_id)
            self._forget_everything()
            bob.since = None
            before = self.transactions
            bob.sync(filter={"room": {"include_leave": True}})
            counts.append(self.transactions - before)
        self.assertEqual(counts[1], counts[2])


def _members(room: Any) -> set[str]:
    return {
        event["state_key"] for event in room["state"]["events"] if event["type"] == "m.room.member"
    }


class MasterSyncTests(EverySync):
    at_worker = False


class WorkerSyncTests(EverySync):
    at_worker = True

    def hold_rows(self) -> list[tuple[Any, ...]]:
        """Keep what the master tells from the worker; `deliver` passes it on."""
        held: list[tuple[Any, ...]] = []
        self.deliver = self.door.store.process_rows
        self.patch(self.door.store, "process_rows", lambda *row: held.append(row))
        return held

    def test_token_of_a_process_that_is_ahead(self) -> None:
        alice, bob, room_id = self.room_of_two()
        bob.sync()
        held = self.hold_rows()
        alice.send(room_id, "one")
        bob.door = self.master
        bob.sync()
        alice.send(room_id, "two")
        bob.door = self.door
        waiting = bob.start_sync()
        self.assertIsNone(waiting.answer())
        for row in held:
            self.deliver(*row)
        room = bob.finish_sync(waiting)["rooms"]["join"][room_id]
        self.assertEqual(bodies(room), ["two"])

    def test_typing_of_a_process_that_stays_ahead_is_not_shown_for_ever(self) -> None:
        alice, bob, room_id = self.room_of_two()
        bob.sync()
        self.hold_rows()
        self.type(alice, room_id)
        bob.door = self.master
        (event,) = bob.sync()["rooms"]["join"][room_id]["ephemeral"]["events"]
        self.assertEqual(event["content"], {"user_ids": [alice.user_id]})
        bob.door = self.door
        waiting = bob.start_sync()
        self.master.reactor.advance(2)
        (event,) = bob.finish_sync(waiting)["rooms"]["join"][room_id]["ephemeral"]["events"]
        self.assertEqual(event, {"type": "m.typing", "content": {"user_ids": []}})

    def test_rows_of_streams_that_come_apart(self) -> None:
        alice, bob, room_id = self.room_of_two()
        bob.sync()
        held = self.hold_rows()
        waiting = bob.start_sync()
        alice.set_state(room_id, "m.room.topic", {"topic": "t"})
        for row in (row for row in held if row[0] is EVENTS):
            self.deliver(*row)
        waiting.pump(rounds=5)
        self.assertIsNone(waiting.answer())
        for row in (row for row in held if row[0] is not EVENTS):
            self.deliver(*row)
        room = bob.finish_sync(waiting)["rooms"]["join"][room_id]
        self.assertEqual(room["timeline"]["events"][0]["content"], {"topic": "t"})

    def test_memberships_that_are_ahead_of_the_position(self) -> None:
        alice, bob, room_id = self.room_of_two()
        other = alice.create_room()
        bob.sync()
        held = self.hold_rows()
        alice.send(room_id, "before")
        bob.join(other)
        alice.send(other, "welcome")
        for row in (row for row in held if row[0] is not EVENTS):
            self.deliver(*row)
        waiting = bob.start_sync(timeout_ms=0)
        self.assertIsNone(waiting.answer())
        for row in (row for row in held if row[0] is EVENTS):
            self.deliver(*row)
        rooms = bob.finish_sync(waiting)["rooms"]["join"]
        self.assertEqual(bodies(rooms[room_id]), ["before"])
        self.assertIn(other, rooms)
        self.assertEqual(bodies(bob.sync()["rooms"]["join"][other]), ["welcome"])

    def test_worker_that_fell_too_far_behind(self) -> None:
        alice, bob, room_id = self.room_of_two()
        bob.sync()
        waiting = bob.start_sync()
        self.hold_rows()
        alice.send(room_id, "missed")
        for stream in self.door.store.followed:
            self.door.store.start_at(stream, self.master.store.current_token(stream))
        room = bob.finish_sync(waiting)["rooms"]["join"][room_id]
        self.assertEqual(bodies(room), ["missed"])


del EverySync
