"""Aliases and the listing of rooms, over HTTP."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from synapse_lite.api.errors import NotFoundError
from synapse_lite.app.table import CLIENT_READER
from synapse_lite.handlers.directory import DirectoryReader
from synapse_lite.handlers.directory_changes import DirectoryHandler
from synapse_lite.types.requester import Requester
from tests.harness.homeserver import Answer, make_worker, now
from tests.rest.client.rooms import ALICE, CAROL, RoomsCase

ALIAS = "#cats:test"


def alias_path(alias: str = ALIAS) -> str:
    return f"directory/room/{quote(alias, safe='')}"


class AliasTests(RoomsCase):
    def put(self, room_id: str, alias: str = ALIAS, token: str | None = None) -> Answer:
        return self.request("PUT", alias_path(alias), {"room_id": room_id}, token)

    def aliases(self, room_id: str) -> Any:
        return self.ok("GET", f"rooms/{room_id}/aliases")["aliases"]

    def test_an_alias_lives_and_dies(self) -> None:
        room_id = self.room()
        worker = make_worker(CLIENT_READER, self.master)
        self.assert_error(worker.request("GET", alias_path()), 404, "M_NOT_FOUND")
        self.assertEqual(self.put(room_id).status, 200)
        found = {"room_id": room_id, "servers": ["test"]}
        self.assertEqual(worker.request("GET", alias_path()).json, found)
        self.assertEqual(self.master.request("GET", alias_path()).json, found)
        self.assertEqual(self.aliases(room_id), [ALIAS])
        joined = self.ok("POST", f"join/{quote(ALIAS, safe='')}", {}, self.bob)
        self.assertEqual(joined["room_id"], room_id)
        self.ok("DELETE", alias_path())
        self.assert_error(worker.request("GET", alias_path()), 404, "M_NOT_FOUND")
        self.assertEqual(self.aliases(room_id), [])
        self.assert_error(self.request("DELETE", alias_path()), 404, "M_NOT_FOUND")

    def test_a_taken_alias_stays_where_it_is(self) -> None:
        first, second = self.room(), self.room()
        self.put(first)
        self.assert_error(self.put(second), 409, "M_UNKNOWN")
        self.assertEqual(self.ok("GET", alias_path())["room_id"], first)

    def test_an_alias_whose_room_was_never_made_is_free(self) -> None:
        room_id = self.room()
        now(self.master.store.create_alias(ALIAS, "!lost:test", ["test"], ALICE))
        self.assert_error(self.request("GET", alias_path()), 404, "M_NOT_FOUND")
        self.assertEqual(self.put(room_id).status, 200)
        self.assertEqual(self.ok("GET", alias_path())["room_id"], room_id)

    def test_administrators_make_and_delete_aliases_of_any_room(self) -> None:
        room_id = self.room()
        admin = Requester(CAROL, is_admin=True)
        handler = self.master.hs.part(DirectoryHandler)
        now(handler.create_alias(admin, ALIAS, room_id))
        self.assertEqual(self.aliases(room_id), [ALIAS])
        reader = self.master.hs.part(DirectoryReader)
        self.assertEqual(now(reader.aliases_of(admin, room_id)), [ALIAS])
        with self.assertRaises(NotFoundError):
            now(handler.create_alias(admin, "#dogs:test", "!nowhere:test"))
        self.put(room_id, "#dogs:test")
        now(handler.delete_alias(admin, "#dogs:test"))
        self.assertEqual(self.aliases(room_id), [ALIAS])
        now(handler.list_room(admin, room_id, listed=True))
        self.assertTrue(now(reader.is_listed(room_id)))

    def test_only_who_is_in_the_room_makes_aliases(self) -> None:
        room_id = self.room()
        self.assert_error(self.put(room_id, token=self.bob), 403, "M_FORBIDDEN")
        self.assert_error(self.put("!nowhere:test"), 403, "M_FORBIDDEN")
        self.join(room_id, self.bob)
        self.assertEqual(self.put(room_id, token=self.bob).status, 200)

    def test_bad_input(self) -> None:
        room_id = self.room()
        for alias in ("cats", "#:test", "#cats", "#" + "c" * 255 + ":test", "!cats:test"):
            with self.subTest(alias=alias):
                self.assert_error(self.put(room_id, alias), 400, "M_INVALID_PARAM")
                self.assert_error(self.request("GET", alias_path(alias)), 400, "M_INVALID_PARAM")
        self.assert_error(self.put("room"), 400, "M_INVALID_PARAM")
        for body, errcode in (({}, "M_MISSING_PARAM"), ({"room_id": 1}, "M_BAD_JSON")):
            self.assert_error(self.request("PUT", alias_path(), body), 400, errcode)

    def test_aliases_of_other_servers(self) -> None:
        room_id = self.room()
        self.assert_error(self.put(room_id, "#cats:elsewhere"), 400, "M_INVALID_PARAM")
        path = alias_path("#cats:elsewhere")
        self.assert_error(self.request("DELETE", path), 400, "M_INVALID_PARAM")
        self.assertEqual(self.request("GET", path).status, 502)

    def test_who_may_delete(self) -> None:
        room_id = self.room()
        self.join(room_id, self.bob)
        self.join(room_id, self.carol)
        self.put(room_id, token=self.bob)
        self.assert_error(
            self.request("DELETE", alias_path(), None, self.carol), 403, "M_FORBIDDEN"
        )
        self.ok("DELETE", alias_path(), None, self.bob)  # his own
        self.put(room_id, token=self.bob)
        self.ok("DELETE", alias_path(), None, self.alice)  # a moderator of the room

    def test_deleting_takes_it_out_of_the_canonical_alias(self) -> None:
        room_id = self.room()
        self.put(room_id)
        self.put(room_id, "#dogs:test")
        content = {"alias": ALIAS, "alt_aliases": [ALIAS, "#dogs:test"], "more": 1}
        self.ok("PUT", f"rooms/{room_id}/state/m.room.canonical_alias", content)
        self.ok("DELETE", alias_path())
        self.assertEqual(
            self.state(room_id, "m.room.canonical_alias"),
            {"alt_aliases": ["#dogs:test"], "more": 1},
        )

    def test_deleting_without_the_right_to_change_the_canonical_alias(self) -> None:
        room_id = self.room()
        self.join(room_id, self.bob)
        self.put(room_id, token=self.bob)
        content = {"alias": ALIAS}
        self.ok("PUT", f"rooms/{room_id}/state/m.room.canonical_alias", content)
        self.ok("DELETE", alias_path(), None, self.bob)
        self.assertEqual(self.state(room_id, "m.room.canonical_alias"), content)
        self.assert_error(self.request("GET", alias_path()), 404, "M_NOT_FOUND")

    def test_who_reads_the_aliases_of_a_room(self) -> None:
        room_id = self.room()
        self.put(room_id)
        path = f"rooms/{room_id}/aliases"
        self.assert_error(self.request("GET", path, None, self.bob), 403, "M_FORBIDDEN")
        self.join(room_id, self.bob)
        self.assertEqual(self.ok("GET", path, None, self.bob)["aliases"], [ALIAS])
        self.ok("POST", f"rooms/{room_id}/leave", {}, self.bob)
        self.assert_error(self.request("GET", path, None, self.bob), 403, "M_FORBIDDEN")
        content = {"history_visibility": "world_readable"}
        self.ok("PUT", f"rooms/{room_id}/state/m.room.history_visibility", content)
        self.assertEqual(self.ok("GET", path, None, self.carol)["aliases"], [ALIAS])


class ListingTests(RoomsCase):
    def visibility(self, room_id: str) -> Any:
        answer = self.master.request("GET", f"directory/list/room/{room_id}")
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json["visibility"]

    def test_a_room_is_listed_and_taken_off(self) -> None:
        room_id = self.room()
        path = f"directory/list/room/{room_id}"
        self.assertEqual(self.visibility(room_id), "private")
        self.ok("PUT", path, {})
        self.assertEqual(self.visibility(room_id), "public")
        self.ok("PUT", path, {"visibility": "private"})
        self.assertEqual(self.visibility(room_id), "private")
        self.assertEqual(self.visibility(self.room(visibility="public")), "public")

    def test_refusals(self) -> None:
        room_id = self.room()
        path = f"directory/list/room/{room_id}"
        self.assert_error(self.request("PUT", path, {}, self.bob), 403, "M_FORBIDDEN")
        self.join(room_id, self.bob)
        self.assert_error(self.request("PUT", path, {}, self.bob), 403, "M_FORBIDDEN")
        answer = self.request("PUT", path, {"visibility": "secret"})
        self.assert_error(answer, 400, "M_INVALID_PARAM")
        self.assertEqual(self.visibility(room_id), "private")
        unknown = "directory/list/room/!nowhere:test"
        self.assert_error(self.request("GET", unknown), 404, "M_NOT_FOUND")
        self.assert_error(self.request("PUT", unknown, {}), 404, "M_NOT_FOUND")


class PublicRoomsTests(RoomsCase):
    def setUp(self) -> None:
        super().setUp()
        self.worker = make_worker(CLIENT_READER, self.master)

    def list(self, query: str = "") -> Any:
        """The list, which master and worker must agree on."""
        answer = self.worker.request("GET", f"publicRooms{query}", None, self.alice)
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(self.ok("GET", f"publicRooms{query}"), answer.json)
        return answer.json

    def search(self, **body: Any) -> list[str]:
        answer = self.worker.request("POST", "publicRooms", body, self.alice)
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(self.ok("POST", "publicRooms", body), answer.json)
        return [room["room_id"] for room in answer.json["chunk"]]

    def ids(self, query: str = "") -> list[str]:
        return [room["room_id"] for room in self.list(query)["chunk"]]

    def test_an_entry(self) -> None:
        topic = {
            "topic": "old",
            "m.topic": {
                "m.text": [{"mimetype": "text/html", "body": "<b>Purr</b>"}, {"body": "Purr"}]
            },
        }
        room_id = self.room(
            visibility="public",
            name="Cats",
            room_alias_name="cats",
            creation_content={"type": "m.space"},
            initial_state=[
                {"type": "m.room.topic", "content": topic},
                {"type": "m.room.avatar", "content": {"url": "mxc://test/cat"}},
                {"type": "m.room.guest_access", "content": {"guest_access": "can_join"}},
                {
                    "type": "m.room.history_visibility",
                    "content": {"history_visibility": "world_readable"},
                },
            ],
        )
        self.join(room_id, self.bob)
        self.assertEqual(
            self.list(),
            {
                "total_room_count_estimate": 1,
                "chunk": [
                    {
                        "room_id": room_id,
                        "num_joined_members": 2,
                        "name": "Cats",
                        "topic": "Purr",
                        "canonical_alias": ALIAS,
                        "avatar_url": "mxc://test/cat",
                        "room_type": "m.space",
                        "join_rule": "public",
                        "world_readable": True,
                        "guest_can_join": True,
                    }
                ],
            },
        )

    def test_the_list_follows_its_rooms(self) -> None:
        small, large = self.room(visibility="public"), self.room(visibility="public")
        self.room()
        self.join(large, self.bob)
        self.assertEqual(self.ids(), [large, small])
        self.join(small, self.bob)
        self.join(small, self.carol)
        self.assertEqual(self.ids(), [small, large])
        self.ok("PUT", f"rooms/{small}/state/m.room.name", {"name": "New"})
        self.assertEqual(self.list()["chunk"][0]["name"], "New")
        self.ok("PUT", f"rooms/{small}/state/m.room.join_rules", {"join_rule": "invite"})
        self.assertEqual(self.ids(), [large])
        self.ok("PUT", f"rooms/{small}/state/m.room.join_rules", {"join_rule": "knock"})
        self.assertEqual(self.ids(), [small, large])
        self.ok("PUT", f"directory/list/room/{small}", {"visibility": "private"})
        self.assertEqual(self.ids(), [large])
        for token in (self.alice, self.bob):
            self.ok("POST", f"rooms/{large}/leave", {}, token)
        self.assertEqual(self.ids(), [])

    def test_a_list_without_changes_costs_no_query(self) -> None:
        for _ in range(3):
            self.room(visibility="public")
        self.ids()
        counts = (self.master.db.counts, self.worker.db.counts)
        before = [count.transactions for count in counts]
        self.assertEqual(len(self.ids()), 3)
        self.assertEqual([count.transactions for count in counts], before)

    def test_pages_there_and_back(self) -> None:
        rooms = sorted(self.room(visibility="public") for _ in range(7))
        first = self.list("?limit=3")
        self.assertEqual([room["room_id"] for room in first["chunk"]], rooms[:3])
        self.assertNotIn("prev_batch", first)
        self.assertEqual(first["total_room_count_estimate"], 7)
        second = self.list(f"?limit=3&since={first['next_batch']}")
        self.assertEqual([room["room_id"] for room in second["chunk"]], rooms[3:6])
        third = self.list(f"?limit=3&since={second['next_batch']}")
        self.assertEqual([room["room_id"] for room in third["chunk"]], rooms[6:])
        self.assertNotIn("next_batch", third)
        back = self.list(f"?limit=3&since={third['prev_batch']}")
        self.assertEqual([room["room_id"] for room in back["chunk"]], rooms[3:6])
        front = self.list(f"?limit=3&since={back['prev_batch']}")
        self.assertEqual([room["room_id"] for room in front["chunk"]], rooms[:3])

    def test_pages_stay_where_they_are_while_rooms_come_and_go(self) -> None:
        rooms = sorted(self.room(visibility="public") for _ in range(6))
        token = self.list("?limit=3")["next_batch"]
        self.join(rooms[5], self.bob)  # now the first
        for gone in (rooms[0], rooms[2]):  # the last one is what the token names
            self.ok("PUT", f"directory/list/room/{gone}", {"visibility": "private"})
        self.assertEqual(self.ids(f"?since={token}"), rooms[3:5])

    def test_search(self) -> None:
        cats = self.room(visibility="public", name="Große Cats")
        topic = self.room(visibility="public", topic="about CATS")
        alias = self.room(visibility="public", room_alias_name="cats2")
        other = self.room(visibility="public", name="Dogs")
        found = self.search(filter={"generic_search_term": "cAts"})
        self.assertEqual(sorted(found), sorted([cats, topic, alias]))
        self.assertEqual(self.search(filter={"generic_search_term": "GROSSE"}), [cats])
        self.assertEqual(self.search(filter={"generic_search_term": "dogs"}), [other])
        self.assertEqual(self.search(filter={"generic_search_term": "zebra"}), [])
        self.assertEqual(len(self.search(filter={"generic_search_term": ""})), 4)
        self.assertEqual(len(self.search(limit=2)), 2)

    def test_room_types(self) -> None:
        plain = self.room(visibility="public")
        space = self.room(visibility="public", creation_content={"type": "m.space"})
        self.assertEqual(self.search(filter={"room_types": ["m.space"]}), [space])
        self.assertEqual(self.search(filter={"room_types": [None]}), [plain])
        both = self.search(filter={"room_types": [None, "m.space", "other"]})
        self.assertEqual(both, sorted([plain, space]))
        self.assertEqual(self.search(filter={"room_types": []}), [])

    def test_bad_input(self) -> None:
        for body, errcode in (
            ({"limit": "many"}, "M_BAD_JSON"),
            ({"limit": -1}, "M_INVALID_PARAM"),
            ({"since": "somewhere"}, "M_INVALID_PARAM"),
            ({"filter": []}, "M_BAD_JSON"),
            ({"filter": {"room_types": [1]}}, "M_BAD_JSON"),
            ({"filter": {"room_types": "m.space"}}, "M_BAD_JSON"),
            ({"filter": {"generic_search_term": 1}}, "M_BAD_JSON"),
            ({"include_all_networks": True, "third_party_instance_id": "irc"}, "M_INVALID_PARAM"),
        ):
            with self.subTest(body=body):
                self.assert_error(self.request("POST", "publicRooms", body), 400, errcode)
        for query in ("limit=many", "limit=-1", "since=W10", "since=WzEsMl0", "since=%C3%A4"):
            with self.subTest(query=query):
                answer = self.request("GET", f"publicRooms?{query}")
                self.assert_error(answer, 400, "M_INVALID_PARAM")

    def test_lists_of_other_servers_and_networks(self) -> None:
        room_id = self.room(visibility="public")
        self.assertEqual(self.request("GET", "publicRooms?server=elsewhere").status, 502)
        self.assertEqual(self.request("POST", "publicRooms?server=elsewhere", {}).status, 502)
        self.assertEqual(self.ids("?server=test"), [room_id])
        self.assertEqual(self.search(third_party_instance_id="irc"), [])
        self.assertEqual(self.search(include_all_networks=True), [room_id])

    def test_only_users_see_the_list_unless_it_is_open(self) -> None:
        self.assert_error(self.master.request("GET", "publicRooms"), 401, "M_MISSING_TOKEN")


class OpenListTests(RoomsCase):
    overrides = {"allow_public_rooms_without_auth": True}

    def test_everybody_sees_the_list(self) -> None:
        room_id = self.room(visibility="public")
        answer = self.master.request("GET", "publicRooms")
        self.assertEqual([room["room_id"] for room in answer.json["chunk"]], [room_id])
        self.assert_error(self.master.request("POST", "publicRooms", {}), 401, "M_MISSING_TOKEN")


class HiddenListTests(RoomsCase):
    overrides = {"enable_room_list_search": False}

    def test_the_list_is_empty(self) -> None:
        self.room(visibility="public")
        answer = self.ok("GET", "publicRooms")
        self.assertEqual(answer, {"chunk": [], "total_room_count_estimate": 0})
