"""Creating rooms."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred

from synapse_lite.events.room_versions import ROOM_VERSIONS
from synapse_lite.replication.send_event import EventSink, NewEvent, PersistedEvent
from synapse_lite.storage.errors import DatabaseUnavailableError
from synapse_lite.streams import EVENTS
from synapse_lite.types.requester import Requester
from tests.harness.homeserver import make_master, now

from .rooms import ALICE, BOB, CAROL, RoomsCase

_BEFORE_12 = [version for version in ROOM_VERSIONS if version != "12"]


class TestVersions(RoomsCase):
    def test_every_version(self) -> None:
        for version in ROOM_VERSIONS:
            room_id = self.room(room_version=version)
            create = self.state(room_id, "m.room.create")
            self.assertEqual(create["room_version"], version)
            self.assertEqual(now(self.master.store.get_room_version(room_id)).identifier, version)
            self.join(room_id, self.bob)
            sent = self.master.send(self.bob, room_id, "hello")
            self.assertEqual(self.event(sent).room_version.identifier, version)

    def test_creator_is_named_until_version_10(self) -> None:
        for version in ROOM_VERSIONS:
            content = self.state(
                self.room(room_version=version, creation_content={"creator": "@x:y"}),
                "m.room.create",
            )
            if int(version) <= 10:
                self.assertEqual(content["creator"], ALICE)
            else:
                self.assertNotIn("creator", content)

    def test_room_id_is_that_of_the_create_event_in_version_12(self) -> None:
        room_id = self.room(room_version="12")
        create = self.state_event(room_id, "m.room.create")
        assert create is not None
        self.assertEqual(room_id, "!" + create.event_id[1:])
        self.assertNotIn("room_id", create.pdu)
        self.assertTrue(self.room(room_version="11").endswith(":test"))

    def test_same_room_twice_in_a_moment(self) -> None:
        self.assertNotEqual(self.room(room_version="12"), self.room(room_version="12"))

    def test_default_version(self) -> None:
        self.assertEqual(self.state(self.room(), "m.room.create")["room_version"], "12")

    def test_unknown_version(self) -> None:
        answer = self.request("POST", "createRoom", {"room_version": "99"})
        self.assert_error(answer, 400, "M_UNSUPPORTED_ROOM_VERSION")

    def test_events_follow_each_other(self) -> None:
        for version in ("2", "3", "12"):
            events = self.events(self.room(room_version=version, name="x"))
            self.assertEqual([event.depth for event in events], list(range(1, len(events) + 1)))
            for before, event in itertools.pairwise(events):
                self.assertEqual(event.prev_event_ids, (before.event_id,))

    def test_order_of_events(self) -> None:
        room_id = self.room(
            room_alias_name="thing",
            name="Name",
            topic="Topic",
            initial_state=[{"type": "org.example", "content": {"a": 1}}],
            invite=[BOB],
        )
        self.assertEqual(
            [event.type for event in self.events(room_id)],
            [
                "m.room.create",
                "m.room.member",
                "m.room.power_levels",
                "m.room.canonical_alias",
                "m.room.join_rules",
                "m.room.history_visibility",
                "m.room.guest_access",
                "org.example",
                "m.room.name",
                "m.room.topic",
                "m.room.member",
            ],
        )


class TestPresets(RoomsCase):
    def preset_of(self, room_id: str) -> tuple[str, str, str]:
        return (
            self.state(room_id, "m.room.join_rules")["join_rule"],
            self.state(room_id, "m.room.history_visibility")["history_visibility"],
            self.state(room_id, "m.room.guest_access")["guest_access"],
        )

    def test_presets(self) -> None:
        private = ("invite", "shared", "can_join")
        self.assertEqual(self.preset_of(self.room(preset="private_chat")), private)
        self.assertEqual(self.preset_of(self.room(preset="trusted_private_chat")), private)
        public = ("public", "shared", "forbidden")
        self.assertEqual(self.preset_of(self.room(preset="public_chat")), public)

    def test_preset_by_visibility(self) -> None:
        room_id = self.master.create_room(self.alice, visibility="public")
        self.assertEqual(self.preset_of(room_id)[0], "public")
        self.assertEqual(self.preset_of(self.master.create_room(self.alice))[0], "invite")

    def test_trusted_invitees_before_version_12(self) -> None:
        for version in _BEFORE_12:
            room_id = self.room(preset="trusted_private_chat", room_version=version, invite=[BOB])
            users = self.state(room_id, "m.room.power_levels")["users"]
            self.assertEqual(users, {ALICE: 100, BOB: 100})

    def test_trusted_invitees_are_creators_in_version_12(self) -> None:
        room_id = self.room(
            preset="trusted_private_chat",
            room_version="12",
            invite=[BOB, CAROL],
            creation_content={"additional_creators": [CAROL]},
        )
        create = self.state(room_id, "m.room.create")
        self.assertEqual(create["additional_creators"], [CAROL, BOB])
        self.assertEqual(self.state(room_id, "m.room.power_levels")["users"], {})
        self.join(room_id, self.bob)
        self.ok("PUT", f"rooms/{room_id}/state/m.room.tombstone", {"body": "moved"}, self.bob)

    def test_others_invited_get_no_power(self) -> None:
        room_id = self.room(preset="private_chat", room_version="11", invite=[BOB])
        self.assertEqual(self.state(room_id, "m.room.power_levels")["users"], {ALICE: 100})

    def test_tombstone_stands_above_administrators_in_version_12(self) -> None:
        levels = self.state(self.room(room_version="12"), "m.room.power_levels")
        self.assertGreater(levels["events"]["m.room.tombstone"], levels["state_default"])
        self.assertEqual(levels["events"]["m.room.tombstone"], 150)

    def test_initial_state_takes_precedence_over_preset(self) -> None:
        room_id = self.room(
            initial_state=[
                {"type": "m.room.history_visibility", "content": {"history_visibility": "joined"}},
                {"type": "m.room.name", "content": {"name": "first"}},
            ],
            name="second",
        )
        self.assertEqual(self.preset_of(room_id), ("public", "joined", "forbidden"))
        self.assertEqual(self.state(room_id, "m.room.name"), {"name": "second"})


class TestOptions(RoomsCase):
    def test_name_and_topic(self) -> None:
        room_id = self.room(name="Name", topic="Topic")
        self.assertEqual(self.state(room_id, "m.room.name"), {"name": "Name"})
        topic = self.state(room_id, "m.room.topic")
        self.assertEqual(topic["topic"], "Topic")
        self.assertEqual(topic["m.topic"]["m.text"][0]["body"], "Topic")

    def test_alias(self) -> None:
        room_id = self.room(room_alias_name="thing")
        self.assertEqual(self.state(room_id, "m.room.canonical_alias"), {"alias": "#thing:test"})
        joined = self.ok("POST", "join/%23thing:test", {}, self.bob)
        self.assertEqual(joined, {"room_id": room_id})

    def test_alias_taken(self) -> None:
        self.room(room_alias_name="thing")
        answer = self.request("POST", "createRoom", {"room_alias_name": "thing"})
        self.assert_error(answer, 400, "M_ROOM_IN_USE")

    def test_alias_is_free_again_after_a_failure(self) -> None:
        def fail(*args: object, **kwargs: object) -> object:
            raise DatabaseUnavailableError("down")

        persist = self.master.store.persist_events
        self.master.store.persist_events = fail
        answer = self.request("POST", "createRoom", {"room_alias_name": "thing"})
        self.assertEqual(answer.status, 503)
        self.master.store.persist_events = persist
        self.room(room_alias_name="thing")

    def test_a_public_room_is_listed_as_soon_as_it_exists(self) -> None:
        store = self.master.store
        listed: list[Any] = []
        commit = self.master.db.on_committed
        assert commit is not None

        def committed(changes: Any) -> None:
            commit(changes)
            if any(stream is EVENTS for stream, _, _ in changes):
                listed.append(set(now(store.get_public_room_ids())))

        self.master.db.on_committed = committed
        room_id = self.master.create_room(self.alice, visibility="public")
        self.assertEqual(listed, [{room_id}])

    def test_a_public_room_that_could_not_be_made_is_not_listed(self) -> None:
        async def fail(*args: Any, **keywords: Any) -> None:
            raise DatabaseUnavailableError("down")

        self.patch(self.master.store, "persist_events", fail)
        answer = self.request("POST", "createRoom", {"visibility": "public"})
        self.assertEqual(answer.status, 503)
        self.assertEqual(now(self.master.store.get_public_room_ids()), set())

    def test_alias_of_a_room_that_a_crash_prevented(self) -> None:
        now(self.master.store.create_alias("#thing:test", "!never:test", ["test"], BOB))
        room_id = self.room(room_alias_name="thing")
        self.assertEqual(now(self.master.store.get_room_id_of_alias("#thing:test")), room_id)

    def test_bad_alias(self) -> None:
        for name in ("a:b", "#a", "a b", "", "x" * 300):
            answer = self.request("POST", "createRoom", {"room_alias_name": name})
            self.assert_error(answer, 400, "M_INVALID_PARAM")

    def test_space(self) -> None:
        room_id = self.room(creation_content={"type": "m.space", "m.federate": False})
        create = self.state(room_id, "m.room.create")
        self.assertEqual((create["type"], create["m.federate"]), ("m.space", False))

    def test_power_levels_can_be_replaced(self) -> None:
        room_id = self.room(power_level_content_override={"events_default": 7, "events": {"a": 1}})
        levels = self.state(room_id, "m.room.power_levels")
        self.assertEqual((levels["events_default"], levels["events"]), (7, {"a": 1}))
        self.assertEqual(levels["state_default"], 50)

    def test_power_levels_without_the_creator_leave_no_room(self) -> None:
        before = now(self.master.store.get_rooms_for_user(ALICE))
        answer = self.request(
            "POST",
            "createRoom",
            {
                "room_version": "11",
                "name": "x",
                "power_level_content_override": {"users": {BOB: 100}},
            },
        )
        self.assert_error(answer, 400, "M_INVALID_ROOM_STATE")
        self.assertEqual(now(self.master.store.get_rooms_for_user(ALICE)), before)

    def test_creator_must_not_be_listed_in_version_12(self) -> None:
        answer = self.request(
            "POST", "createRoom", {"power_level_content_override": {"users": {ALICE: 100}}}
        )
        self.assert_error(answer, 400, "M_INVALID_ROOM_STATE")

    def test_direct_chat(self) -> None:
        room_id = self.room(preset="trusted_private_chat", is_direct=True, invite=[BOB])
        invite = self.state(room_id, "m.room.member", BOB)
        self.assertEqual((invite["membership"], invite["is_direct"]), ("invite", True))
        self.assertNotIn("is_direct", self.state(room_id, "m.room.member", ALICE))

    def test_invited_twice(self) -> None:
        room_id = self.room(invite=[BOB, BOB])
        invites = [event for event in self.events(room_id) if event.state_key == BOB]
        self.assertEqual(len(invites), 1)

    def test_ban_in_initial_state(self) -> None:
        ban = {"type": "m.room.member", "state_key": BOB, "content": {"membership": "ban"}}
        room_id = self.room(initial_state=[ban])
        self.assert_error(self.request("POST", f"join/{room_id}", {}, self.bob), 403, "M_FORBIDDEN")

    def test_states_that_cannot_be_initial(self) -> None:
        for event in (
            {"type": "m.room.create", "content": {}},
            {"type": "m.room.member", "state_key": BOB, "content": {"membership": "join"}},
        ):
            answer = self.request("POST", "createRoom", {"initial_state": [event]})
            self.assert_error(answer, 400, "M_INVALID_ROOM_STATE")

    def test_bad_input(self) -> None:
        for options, errcode in (
            ({"name": 1}, "M_BAD_JSON"),
            ({"topic": []}, "M_BAD_JSON"),
            ({"invite": "@bob:test"}, "M_BAD_JSON"),
            ({"invite": [1]}, "M_BAD_JSON"),
            ({"invite": ["bob"]}, "M_INVALID_PARAM"),
            ({"preset": "no_chat"}, "M_INVALID_PARAM"),
            ({"visibility": "hidden"}, "M_INVALID_PARAM"),
            ({"room_version": 1}, "M_BAD_JSON"),
            ({"creation_content": []}, "M_BAD_JSON"),
            ({"creation_content": {"m.federate": "no"}}, "M_BAD_JSON"),
            ({"creation_content": {"additional_creators": ["bob"]}}, "M_BAD_JSON"),
            ({"initial_state": {}}, "M_BAD_JSON"),
            ({"initial_state": ["x"]}, "M_BAD_JSON"),
            ({"initial_state": [{"content": {}}]}, "M_MISSING_PARAM"),
            ({"initial_state": [{"type": "a"}]}, "M_BAD_JSON"),
            ({"initial_state": [{"type": "a", "content": {}, "state_key": 1}]}, "M_BAD_JSON"),
            ({"initial_state": [{"type": "a", "content": {"a": 1.5}}]}, "M_BAD_JSON"),
            ({"power_level_content_override": 3}, "M_BAD_JSON"),
            ({"power_level_content_override": {"users": 3}}, "M_BAD_JSON"),
            ({"is_direct": "yes"}, "M_BAD_JSON"),
        ):
            answer = self.request("POST", "createRoom", options)
            self.assert_error(answer, 400, errcode)
        self.assertEqual(now(self.master.store.get_rooms_for_user(ALICE)), {})

    def test_not_json(self) -> None:
        self.assert_error(self.request("POST", "createRoom", b"{"), 400, "M_NOT_JSON")

    def test_invites_by_email_are_refused(self) -> None:
        invite = {"id_server": "id", "id_access_token": "x", "medium": "email", "address": "a@b.c"}
        answer = self.request("POST", "createRoom", {"invite_3pid": [invite]})
        self.assert_error(answer, 403, "M_FORBIDDEN")

    def test_users_of_unreachable_servers_are_refused(self) -> None:
        answer = self.request("POST", "createRoom", {"invite": ["@x:elsewhere"]}, judged=False)
        self.assertEqual(answer.status, 502)
        self.assertEqual(now(self.master.store.get_rooms_for_user(ALICE)), {})

    def test_needs_a_token(self) -> None:
        self.assert_error(self.master.request("POST", "createRoom", {}), 401, "M_MISSING_TOKEN")


class GatedSink(EventSink):
    """Persists once the gate is open."""

    def __init__(self, target: EventSink) -> None:
        self._target = target
        self.gate: Deferred[None] = Deferred()

    async def persist_many(
        self, events: Sequence[NewEvent], requester: Requester, *, ratelimit: bool = True
    ) -> list[PersistedEvent]:
        await self.gate
        return await self._target.persist_many(events, requester, ratelimit=ratelimit)


class TestRace(RoomsCase):
    def setUp(self) -> None:
        self.master = make_master()
        self.sink = GatedSink(self.master.hs.part(EventSink))
        self.master.hs.provide(EventSink, self.sink)
        self.alice = self.master.register("alice")

    def test_two_rooms_want_one_alias(self) -> None:
        requests = [
            self.master.start_request(
                "POST", "createRoom", {"room_alias_name": "thing"}, self.alice
            )
            for _ in range(2)
        ]
        self.assertEqual([request.answer() for request in requests], [None, None])
        self.sink.gate.callback(None)
        for request in requests:
            request.pump()
        first, second = (request.answer() for request in requests)
        assert first is not None and second is not None
        self.assertEqual(first.status, 200)
        self.assert_error(second, 400, "M_ROOM_IN_USE")
        room_id = now(self.master.store.get_room_id_of_alias("#thing:test"))
        self.assertEqual(room_id, first.json["room_id"])
        self.assertEqual(set(now(self.master.store.get_rooms_for_user(ALICE))), {room_id})


class TestCost(RoomsCase):
    def test_one_commit(self) -> None:
        self.room()
        before = self.master.db.timings["persist_events"].transactions
        self.room(name="x", topic="y", invite=[BOB, CAROL])
        self.assertEqual(self.master.db.timings["persist_events"].transactions, before + 1)


class TestConfigured(RoomsCase):
    overrides = {
        "default_room_version": "9",
        "encryption_enabled_by_default_for_room_type": "invite",
        "default_power_level_content_override": {"private_chat": {"events_default": 3}},
        "rc_room_creation": {"per_second": 0.001, "burst_count": 3},
    }

    def test_defaults(self) -> None:
        room_id = self.room(preset="private_chat")
        self.assertEqual(self.state(room_id, "m.room.create")["room_version"], "9")
        self.assertEqual(
            self.state(room_id, "m.room.encryption"), {"algorithm": "m.megolm.v1.aes-sha2"}
        )
        self.assertEqual(self.state(room_id, "m.room.power_levels")["events_default"], 3)
        public = self.room(preset="public_chat")
        self.assertIsNone(self.state(public, "m.room.encryption"))
        self.assertEqual(self.state(public, "m.room.power_levels")["events_default"], 0)

    def test_limit(self) -> None:
        for _ in range(3):
            self.room()
        self.assert_error(self.request("POST", "createRoom", {}), 429, "M_LIMIT_EXCEEDED")


class TestInvitesByAdministratorsOnly(RoomsCase):
    overrides = {"block_non_admin_invites": True}

    def test_refused(self) -> None:
        answer = self.request("POST", "createRoom", {"invite": [BOB]})
        self.assert_error(answer, 403, "M_FORBIDDEN")
        room_id = self.room()
        answer = self.request("POST", f"rooms/{room_id}/invite", {"user_id": BOB})
        self.assert_error(answer, 403, "M_FORBIDDEN")
