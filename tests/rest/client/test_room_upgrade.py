"""Upgrades of rooms, over HTTP."""

from __future__ import annotations

from typing import Any
from unittest import mock
from urllib.parse import quote

from synapse_lite.events.room_versions import ROOM_VERSIONS
from synapse_lite.handlers.room_following import RoomFollowing
from synapse_lite.handlers.room_upgrade import RoomUpgradeHandler
from tests.harness.homeserver import now
from tests.rest.client.rooms import ALICE, BOB, CAROL, RoomsCase

ALIAS = "#cats:test"


class UpgradeCase(RoomsCase):
    def upgrade(
        self, room_id: str, version: str = "11", token: str | None = None, **more: Any
    ) -> str:
        body = {"new_version": version, **more}
        answer = self.ok("POST", f"rooms/{room_id}/upgrade", body, token)
        new: str = answer["replacement_room"]
        return new

    def set(self, room_id: str, event_type: str, content: Any, state_key: str = "") -> None:
        self.ok("PUT", f"rooms/{room_id}/state/{event_type}/{quote(state_key)}", content)

    def rooms(self) -> int:
        """How many rooms there are."""
        rows = now(self.master.db.read("rooms", lambda txn: txn.select("rooms", ("room_id",))))
        return len(rows)


class UpgradeTests(UpgradeCase):
    def test_the_rooms_name_each_other(self) -> None:
        for old_version, version in (("9", "11"), ("11", "12"), ("12", "12"), ("12", "1")):
            with self.subTest(f"{old_version} to {version}"):
                old = self.room(room_version=old_version)
                newest = self.events(old)[-1].event_id
                new = self.upgrade(old, version)
                tombstone = self.state_event(old, "m.room.tombstone")
                assert tombstone is not None
                self.assertEqual(tombstone.content["replacement_room"], new)
                create = self.state(new, "m.room.create")
                self.assertEqual(create["room_version"], version)
                named = newest if version == "12" else tombstone.event_id
                expected = {"room_id": old, "event_id": named}
                self.assertEqual(create["predecessor"], expected)
                self.assertEqual(self.membership(new, ALICE), "join")

    def test_state_is_carried_over(self) -> None:
        old = self.room(
            preset="private_chat",
            room_version="9",
            name="Cats",
            topic="Purring",
            creation_content={"type": "m.space", "m.federate": False, "other": 1},
        )
        contents = {
            "m.room.avatar": {"url": "mxc://test/cat"},
            "m.room.encryption": {"algorithm": "m.megolm.v1.aes-sha2"},
            "m.room.server_acl": {"allow": ["*"], "deny": ["evil"]},
            "m.room.history_visibility": {"history_visibility": "joined"},
            "m.room.guest_access": {"guest_access": "forbidden"},
            "m.room.join_rules": {"join_rule": "public"},
        }
        for event_type, content in contents.items():
            self.set(old, event_type, content)
        self.set(old, "m.space.child", {"via": ["test"], "order": "a"}, "!child:test")
        self.set(old, "m.space.child", {}, "!gone:test")
        self.set(old, "m.space.parent", {"via": ["test"]}, "!parent:test")
        self.set(old, "org.example.custom", {"private": True})
        new = self.upgrade(old)
        create = self.state(new, "m.room.create")
        self.assertEqual((create["type"], create["m.federate"]), ("m.space", False))
        self.assertNotIn("other", create)
        self.assertNotIn("creator", create)
        for event_type, content in contents.items():
            self.assertEqual(self.state(new, event_type), content)
        self.assertEqual(self.state(new, "m.room.name"), {"name": "Cats"})
        self.assertEqual(self.state(new, "m.room.topic"), self.state(old, "m.room.topic"))
        child = self.state(new, "m.space.child", "!child:test")
        self.assertEqual(child, {"via": ["test"], "order": "a"})
        self.assertIsNone(self.state(new, "m.space.child", "!gone:test"))
        self.assertEqual(self.state(new, "m.space.parent", "!parent:test"), {"via": ["test"]})
        self.assertIsNone(self.state(new, "org.example.custom"))

    def test_the_old_room_falls_silent(self) -> None:
        old = self.room()
        self.join(old, self.bob)
        self.ok("PUT", f"rooms/{old}/send/m.room.message/1", {"body": "hi"}, self.bob)
        self.upgrade(old)
        levels = self.state(old, "m.room.power_levels")
        self.assertEqual((levels["events_default"], levels["invite"]), (50, 50))
        path = f"rooms/{old}/send/m.room.message/2"
        self.assert_error(self.request("PUT", path, {"body": ""}, self.bob), 403, "M_FORBIDDEN")

    def test_levels_that_are_higher_stay(self) -> None:
        old = self.room(
            power_level_content_override={"users_default": 60, "events_default": 70, "invite": 0}
        )
        self.upgrade(old)
        levels = self.state(old, "m.room.power_levels")
        self.assertEqual((levels["events_default"], levels["invite"]), (70, 61))

    def test_bans_are_carried_over(self) -> None:
        old = self.room()
        self.ok("POST", f"rooms/{old}/ban", {"user_id": BOB, "reason": "spam"})
        self.ok("POST", f"rooms/{old}/ban", {"user_id": CAROL})
        self.ok("POST", f"rooms/{old}/unban", {"user_id": CAROL})
        for version in ("11", "12"):
            new = self.upgrade(old, version)
            ban = self.state(new, "m.room.member", BOB)
            self.assertEqual(ban, {"membership": "ban", "reason": "spam"})
            self.assertIsNone(self.membership(new, CAROL))
            answer = self.request("POST", f"join/{new}", {}, self.bob)
            self.assert_error(answer, 403, "M_FORBIDDEN")

    def test_aliases_and_the_listing_move(self) -> None:
        old = self.room(room_alias_name="cats", visibility="public")
        other = quote("#dogs:test", safe="")
        self.ok("PUT", f"directory/room/{other}", {"room_id": old})
        self.set(old, "m.room.canonical_alias", {"alias": ALIAS, "alt_aliases": ["#dogs:test"]})
        new = self.upgrade(old)
        for alias in (ALIAS, "#dogs:test"):
            found = self.ok("GET", f"directory/room/{quote(alias, safe='')}")
            self.assertEqual(found["room_id"], new)
        moved = {"alias": ALIAS, "alt_aliases": ["#dogs:test"]}
        self.assertEqual(self.state(new, "m.room.canonical_alias"), moved)
        self.assertEqual(self.state(old, "m.room.canonical_alias"), {"alt_aliases": []})
        listed = self.ok("GET", "publicRooms")["chunk"]
        self.assertEqual([room["room_id"] for room in listed], [new])

    def test_join_rules_that_the_new_version_knows(self) -> None:
        elsewhere = {"type": "m.room_membership", "room_id": "!space:test"}
        old = self.room(room_version="11")
        itself = {"type": "m.room_membership", "room_id": old}
        allow = {"allow": [elsewhere, itself]}
        restricted = {"join_rule": "restricted", **allow}
        for rule, version, expected in (
            ("restricted", "11", restricted),
            ("restricted", "7", {"join_rule": "invite"}),
            ("knock_restricted", "10", {"join_rule": "knock_restricted", **allow}),
            ("knock_restricted", "9", restricted),
            ("knock_restricted", "7", {"join_rule": "knock"}),
            ("knock_restricted", "6", {"join_rule": "invite"}),
        ):
            with self.subTest(f"{rule} in {version}"):
                self.set(old, "m.room.join_rules", {"join_rule": rule, "allow": [elsewhere]})
                new = self.upgrade(old, version)
                self.assertEqual(self.state(new, "m.room.join_rules"), expected)

    def test_members_of_a_restricted_room_may_follow(self) -> None:
        old = self.room(preset="private_chat", room_version="10")
        self.set(old, "m.room.join_rules", {"join_rule": "restricted", "allow": []})
        self.ok("POST", f"rooms/{old}/invite", {"user_id": BOB})
        self.join(old, self.bob)
        new = self.upgrade(old, "12")
        self.join(new, self.bob)
        answer = self.request("POST", f"join/{new}", {}, self.carol)
        self.assert_error(answer, 403, "M_FORBIDDEN")


class PowerLevelTests(UpgradeCase):
    def test_a_moderator_who_may_upgrade_gets_no_more(self) -> None:
        old = self.room(
            room_version="11",
            power_level_content_override={
                "users": {ALICE: 100, BOB: 50},
                "events": {
                    "m.room.tombstone": 50,
                    "m.room.server_acl": 100,
                    "m.room.power_levels": 100,
                },
            },
        )
        self.join(old, self.bob)
        self.set(old, "m.room.server_acl", {"allow": ["*"]})
        self.ok("POST", f"rooms/{old}/ban", {"user_id": CAROL})
        before = self.state(old, "m.room.power_levels")
        new = self.upgrade(old, "11", self.bob)
        levels = self.state(new, "m.room.power_levels")
        self.assertEqual(levels["users"], {ALICE: 100, BOB: 50})
        self.assertEqual(levels["events"], before["events"])
        self.assertEqual(self.state(new, "m.room.server_acl"), {"allow": ["*"]})
        self.assertEqual(self.membership(new, CAROL), "ban")
        # Bob may not change the levels of the old room, which stay what they were.
        self.assertEqual(self.state(old, "m.room.power_levels"), before)

    def test_creators_stand_above_in_version_12(self) -> None:
        old = self.room(
            room_version="11",
            power_level_content_override={"users": {ALICE: 100, BOB: 100, CAROL: 75}},
        )
        new = self.upgrade(old, "12", additional_creators=[BOB, ALICE])
        self.assertEqual(self.state(new, "m.room.create")["additional_creators"], [BOB])
        levels = self.state(new, "m.room.power_levels")
        self.assertEqual(levels["users"], {CAROL: 75})
        self.assertEqual(levels["events"]["m.room.tombstone"], 150)

    def test_creators_become_administrators_before_version_12(self) -> None:
        old = self.room(room_version="12", creation_content={"additional_creators": [BOB]})
        new = self.upgrade(old, "11", additional_creators=[CAROL])
        self.assertNotIn("additional_creators", self.state(new, "m.room.create"))
        users = self.state(new, "m.room.power_levels")["users"]
        self.assertEqual(users, {ALICE: 150, BOB: 150})


class RightsTests(UpgradeCase):
    def refused(self, room_id: str, body: Any, token: str, status: int, errcode: str) -> None:
        rooms, events = self.rooms(), self.events(room_id)
        answer = self.request("POST", f"rooms/{room_id}/upgrade", body, token)
        self.assert_error(answer, status, errcode)
        self.assertEqual(self.rooms(), rooms)
        self.assertEqual(self.events(room_id), events)
        self.assertEqual(now(self.master.store.get_unfinished_upgrades()), [])

    def test_nothing_is_written_without_the_right(self) -> None:
        old = self.room()
        self.refused(old, {"new_version": "11"}, self.bob, 403, "M_FORBIDDEN")
        self.join(old, self.bob)
        self.refused(old, {"new_version": "11"}, self.bob, 403, "M_FORBIDDEN")
        self.refused("!none:test", {"new_version": "11"}, self.alice, 403, "M_FORBIDDEN")

    def test_bad_input(self) -> None:
        old = self.room()
        for body, errcode in (
            ({}, "M_MISSING_PARAM"),
            ({"new_version": 11}, "M_BAD_JSON"),
            ({"new_version": "99"}, "M_UNSUPPORTED_ROOM_VERSION"),
            ({"new_version": "12", "additional_creators": ["bob"]}, "M_INVALID_PARAM"),
            ({"new_version": "12", "additional_creators": BOB}, "M_BAD_JSON"),
        ):
            self.refused(old, body, self.alice, 400, errcode)


class RepetitionTests(UpgradeCase):
    def test_a_repeated_request_gets_the_same_room(self) -> None:
        old = self.room()
        new = self.upgrade(old)
        rooms, events = self.rooms(), len(self.events(old))
        self.assertEqual(self.upgrade(old), new)
        self.assertEqual((self.rooms(), len(self.events(old))), (rooms, events))

    def test_another_version_and_another_start_make_another_room(self) -> None:
        old = self.room()
        first = self.upgrade(old, "11")
        second = self.upgrade(old, "12")
        self.assertNotEqual(first, second)
        self.assertEqual(self.state(old, "m.room.tombstone")["replacement_room"], second)
        self.ok("POST", f"rooms/{second}/leave", {})
        self.assertNotIn(self.upgrade(old, "12"), (first, second))

    def cut_short(self, method: str, old: str) -> None:
        """An upgrade whose process dies before it calls a method of a store."""
        killed = mock.patch.object(self.master.store, method, side_effect=OSError("killed"))
        with killed, self.assertLogs(level="ERROR"):
            answer = self.request(
                "POST", f"rooms/{old}/upgrade", {"new_version": "11"}, judged=False
            )
        self.assertEqual(answer.status, 500)

    def test_what_was_cut_short_is_completed_once(self) -> None:
        for method in ("move_aliases", "set_published", "finish_room_upgrade"):
            for by_restart in (True, False):
                with self.subTest(f"{method} {by_restart}"):
                    alias = f"cats{method}{by_restart}"
                    old = self.room(room_alias_name=alias, visibility="public")
                    self.cut_short(method, old)
                    rooms = self.rooms()
                    if by_restart:
                        now(RoomUpgradeHandler(self.master.hs).start())
                    else:
                        self.upgrade(old)
                    new = self.state(old, "m.room.tombstone")["replacement_room"]
                    self.assertEqual(self.rooms(), rooms)
                    found = self.ok("GET", f"directory/room/{quote(f'#{alias}:test', safe='')}")
                    self.assertEqual(found["room_id"], new)
                    self.assertTrue(now(self.master.store.is_published(new)))
                    self.assertEqual(self.state(old, "m.room.power_levels")["invite"], 50)
                    self.assertEqual(now(self.master.store.get_unfinished_upgrades()), [])
                    tombstones = [e for e in self.events(old) if e.type == "m.room.tombstone"]
                    self.assertEqual(len(tombstones), 1)

    def test_one_of_which_no_room_was_stored_has_never_been(self) -> None:
        old = self.room()
        rooms = self.rooms()
        self.cut_short("persist_events", old)
        self.assertEqual(self.rooms(), rooms)
        self.assertIsNone(self.state(old, "m.room.tombstone"))
        now(RoomUpgradeHandler(self.master.hs).start())
        self.assertEqual(now(self.master.store.get_unfinished_upgrades()), [])
        self.assertIsNone(self.state(old, "m.room.tombstone"))
        self.upgrade(old)
        self.assertEqual(self.rooms(), rooms + 1)

    def test_every_version_can_be_reached(self) -> None:
        for version in ROOM_VERSIONS:
            new = self.upgrade(self.room(), version)
            self.assertEqual(self.state(new, "m.room.create")["room_version"], version)


class FollowingTests(UpgradeCase):
    def setUp(self) -> None:
        super().setUp()
        self.following = self.master.hs.part(RoomFollowing)
        now(self.following.start())
        self.addCleanup(lambda: now(self.following.stop()))
        self.old = self.room()
        self.join(self.old, self.bob)

    def data(self, path: str, content: Any = None) -> Any:
        method = "GET" if content is None else "PUT"
        return self.ok(method, f"user/{BOB}/{path}", content, self.bob)

    def tags(self, room_id: str) -> Any:
        return self.data(f"rooms/{room_id}/tags")["tags"]

    def test_settings_follow_whoever_joins(self) -> None:
        self.data(f"rooms/{self.old}/tags/m.favourite", {"order": 0.5})
        self.data("account_data/m.direct", {ALICE: [self.old], CAROL: ["!other:test"]})
        path = f"pushrules/global/room/{quote(self.old)}"
        self.ok("PUT", path, {"actions": []}, self.bob)
        mute = {
            "actions": [],
            "conditions": [{"kind": "event_match", "key": "room_id", "pattern": self.old}],
        }
        override = f"pushrules/global/override/{quote(self.old)}"
        self.ok("PUT", override, mute, self.bob)
        self.ok("PUT", f"{override}/enabled", {"enabled": False}, self.bob)
        new = self.upgrade(self.old)
        self.assertEqual(self.tags(new), {})
        self.join(new, self.bob)
        self.assertEqual(self.tags(new), {"m.favourite": {"order": 0.5}})
        self.assertEqual(
            self.data("account_data/m.direct"), {ALICE: [self.old, new], CAROL: ["!other:test"]}
        )
        rule = self.ok("GET", f"pushrules/global/room/{quote(new)}", None, self.bob)
        self.assertEqual(rule["actions"], [])
        rule = self.ok("GET", f"pushrules/global/override/{quote(new)}", None, self.bob)
        self.assertEqual(rule["conditions"][0]["pattern"], new)
        self.assertFalse(rule["enabled"])

    def test_the_upgrader_follows_too(self) -> None:
        self.ok("PUT", f"user/{ALICE}/rooms/{self.old}/tags/u.cats", {})
        new = self.upgrade(self.old)
        found = self.ok("GET", f"user/{ALICE}/rooms/{new}/tags")
        self.assertEqual(found["tags"], {"u.cats": {}})

    def test_only_once(self) -> None:
        self.data(f"rooms/{self.old}/tags/u.cats", {})
        new = self.upgrade(self.old)
        self.join(new, self.bob)
        self.ok("DELETE", f"user/{BOB}/rooms/{new}/tags/u.cats", None, self.bob)
        self.ok("PUT", f"profile/{BOB}/displayname", {"displayname": "Bobby"}, self.bob)
        self.ok("POST", f"rooms/{new}/leave", {}, self.bob)
        self.join(new, self.bob)
        self.assertEqual(self.tags(new), {})

    def test_a_room_that_only_claims_to_replace_another_gets_nothing(self) -> None:
        self.data(f"rooms/{self.old}/tags/u.cats", {})
        claimed = {"predecessor": {"room_id": self.old, "event_id": "$e"}}
        new = self.master.create_room(self.carol, preset="public_chat", creation_content=claimed)
        self.join(new, self.bob)
        self.assertEqual(self.tags(new), {})

    def test_a_restart_goes_on(self) -> None:
        self.data(f"rooms/{self.old}/tags/u.cats", {})
        new = self.upgrade(self.old)
        now(self.following.stop())
        self.join(new, self.bob)
        self.assertEqual(self.tags(new), {})
        again = RoomFollowing(self.master.hs)
        now(again.start())
        self.assertEqual(self.tags(new), {"u.cats": {}})
        now(again.stop())
