"""The rooms in spaces, page by page."""

from __future__ import annotations

from typing import Any
from unittest import mock
from urllib.parse import quote

from synapse_lite.app.table import CLIENT_READER
from synapse_lite.handlers import space_hierarchy
from tests.harness.homeserver import make_worker
from tests.rest.client.rooms import BOB, RoomsCase


class HierarchyCase(RoomsCase):
    def space(self, *children: str, **options: Any) -> str:
        space = self.room(creation_content={"type": "m.space"}, **options)
        for child in children:
            self.link(space, child)
        return space

    def link(self, space: str, child: str, **content: Any) -> None:
        path = f"rooms/{space}/state/m.space.child/{quote(child)}"
        self.ok("PUT", path, {"via": ["test"], **content})
        self.master.reactor.advance(1)

    def page(self, space: str, query: str = "", token: str | None = None) -> Any:
        return self.ok("GET", f"/_matrix/client/v1/rooms/{space}/hierarchy?{query}", None, token)

    def shown(self, space: str, query: str = "", token: str | None = None) -> list[str]:
        """Ids of the rooms of a page."""
        return [room["room_id"] for room in self.page(space, query, token)["rooms"]]

    def error(self, space: str, query: str, token: str | None = None) -> Any:
        path = f"/_matrix/client/v1/rooms/{space}/hierarchy?{query}"
        return self.request("GET", path, None, token)


class HierarchyTests(HierarchyCase):
    def test_depth_first(self) -> None:
        deep = self.room()
        inner = self.space(deep)
        first, last = self.room(name="First"), self.room()
        top = self.space(first, inner, last, name="Top")
        self.assertEqual(self.shown(top), [top, first, inner, deep, last])
        self.assertEqual(self.shown(top, "max_depth=1"), [top, first, inner, last])
        self.assertEqual(self.shown(top, "max_depth=0"), [top])
        rooms = self.page(top)["rooms"]
        self.assertEqual((rooms[0]["name"], rooms[0]["room_type"]), ("Top", "m.space"))
        links = [child["state_key"] for child in rooms[0]["children_state"]]
        self.assertEqual(links, [first, inner, last])
        keys = {"type", "state_key", "content", "sender", "origin_server_ts"}
        self.assertEqual(rooms[0]["children_state"][0].keys(), keys)
        self.assertEqual((rooms[1]["name"], rooms[1]["children_state"]), ("First", []))

    def test_the_order_of_children(self) -> None:
        a, b, c, d, e, f = (self.room() for _ in range(6))
        top = self.space()
        self.link(top, e)
        self.link(top, c, order="first")
        self.link(top, a, order="aaaa")
        self.link(top, d, order="x" * 51)
        self.link(top, b, order=" ")
        self.link(top, f, order="not\x7fascii")
        self.assertEqual(self.shown(top), [top, b, a, c, e, d, f])

    def test_links_that_are_no_longer_in_force(self) -> None:
        gone, other = self.room(), self.room()
        top = self.space(gone, other)
        self.ok("PUT", f"rooms/{top}/state/m.space.child/{quote(gone)}", {})
        self.assertEqual(self.shown(top), [top, other])
        not_a_space = self.room()
        self.link(not_a_space, other)
        self.assertEqual(self.shown(not_a_space), [not_a_space])
        self.assertEqual(self.page(not_a_space)["rooms"][0]["children_state"], [])

    def test_loops_and_repetitions(self) -> None:
        top, inner = self.space(), self.space()
        both = self.room()
        for space, child in ((top, inner), (inner, top), (top, top), (top, both), (inner, both)):
            self.link(space, child)
        self.assertEqual(self.shown(top), [top, inner, both])

    def test_only_what_is_suggested(self) -> None:
        suggested, other = self.room(), self.room()
        top = self.space(other)
        self.link(top, suggested, suggested=True)
        page = self.page(top, "suggested_only=true")
        self.assertEqual([room["room_id"] for room in page["rooms"]], [top, suggested])
        links = [child["state_key"] for child in page["rooms"][0]["children_state"]]
        self.assertEqual(links, [suggested])

    def test_what_one_may_not_see_is_left_out_with_what_is_below(self) -> None:
        below = self.room()
        secret = self.space(below, preset="private_chat")
        rule = {
            "join_rule": "restricted",
            "allow": [{"type": "m.room_membership", "room_id": secret}],
        }
        members_only = self.room(
            preset="private_chat",
            room_version="9",
            initial_state=[{"type": "m.room.join_rules", "content": rule}],
        )
        top = self.space(secret, members_only, "!unknown:elsewhere")
        self.assertEqual(self.shown(top), [top, secret, below, members_only])
        self.assertEqual(self.shown(top, token=self.bob), [top])
        self.ok("POST", f"rooms/{secret}/invite", {"user_id": BOB})
        self.assertEqual(self.shown(top, token=self.bob), [top, secret, below])
        self.join(secret, self.bob)
        self.assertEqual(self.shown(top, token=self.bob), [top, secret, below, members_only])

    def test_spaces_that_one_may_not_see(self) -> None:
        secret = self.space(preset="private_chat")
        for space in (secret, "!none:test"):
            self.assert_error(self.error(space, "", self.bob), 403, "M_FORBIDDEN")
        public = self.space()
        self.ok("POST", f"rooms/{public}/ban", {"user_id": BOB})
        self.assert_error(self.error(public, "", self.bob), 403, "M_FORBIDDEN")


class PagesTests(HierarchyCase):
    def setUp(self) -> None:
        super().setUp()
        self.deep = [self.room() for _ in range(3)]
        self.children = [self.room(), self.space(*self.deep), self.room()]
        self.top = self.space(*self.children)
        first, inner, last = self.children
        self.all = [self.top, first, inner, *self.deep, last]

    def test_pages_from_one_process_after_another(self) -> None:
        servers = [self.master, *(make_worker(CLIENT_READER, self.master) for _ in range(2))]
        found: list[str] = []
        query = "limit=2"
        for number in range(4):
            path = f"/_matrix/client/v1/rooms/{self.top}/hierarchy?{query}"
            page = servers[number % 3].request("GET", path, None, self.alice).json
            found += [room["room_id"] for room in page["rooms"]]
            query = f"limit=2&from={page.get('next_batch')}"
        self.assertEqual(found, self.all)
        self.assertNotIn("next_batch", page)

    def test_a_full_last_page_is_the_last(self) -> None:
        self.assertNotIn("next_batch", self.page(self.top, f"limit={len(self.all)}"))

    def test_the_tree_changes_between_pages(self) -> None:
        page = self.page(self.top, "limit=4")
        token = page["next_batch"]
        self.assertEqual(page["rooms"][-1]["room_id"], self.deep[0])
        new = self.room()
        self.link(self.top, new, order="a")  # comes before everything else
        self.assertEqual(self.shown(self.top, f"from={token}"), self.all[4:])
        inner = self.children[1]
        self.ok("PUT", f"rooms/{inner}/state/m.space.child/{quote(self.deep[0])}", {})
        left = [room_id for room_id in [self.top, new, *self.all[1:]] if room_id != self.deep[0]]
        self.assertEqual(self.shown(self.top, f"from={token}"), left[4:])

    def test_tokens_are_of_one_request(self) -> None:
        token = self.page(self.top, "limit=2&max_depth=3")["next_batch"]
        self.page(self.top, f"max_depth=3&limit=5&from={token}")
        for query in (f"from={token}", f"max_depth=3&suggested_only=true&from={token}"):
            self.assert_error(self.error(self.top, query), 400, "M_INVALID_PARAM")
        other = self.error(self.children[1], f"max_depth=3&from={token}")
        self.assert_error(other, 400, "M_INVALID_PARAM")

    def test_bad_input(self) -> None:
        for query in (
            "limit=0",
            "limit=-1",
            "limit=x",
            "max_depth=-1",
            "suggested_only=maybe",
            "from=nonsense",
            "from=W10",
            f"from={'a' * 5000}",
        ):
            self.assert_error(self.error(self.top, query), 400, "M_INVALID_PARAM")

    def test_the_walk_is_bounded(self) -> None:
        with mock.patch.object(space_hierarchy, "MAX_WALKED", 3):
            self.assertEqual(self.shown(self.top), self.all[:3])

    def test_the_links_are_bounded(self) -> None:
        with mock.patch.object(space_hierarchy, "MAX_LINKS", 4):
            self.assertEqual(self.shown(self.top), self.all[:4] + self.all[-1:])

    def test_a_few_statements_for_a_page_and_none_when_it_is_known(self) -> None:
        worker = make_worker(CLIENT_READER, self.master)
        path = f"/_matrix/client/v1/rooms/{self.top}/hierarchy"
        worker.request("GET", "account/whoami", None, self.alice)
        worker.request("GET", "joined_rooms", None, self.alice)
        with worker.db.recording() as cold:
            worker.request("GET", path, None, self.alice)
        # Three levels; each takes counts, state, children and their events.
        self.assertLessEqual(len(cold), 18)
        with worker.db.recording() as warm:
            worker.request("GET", path, None, self.alice)
        self.assertEqual(warm, [])
