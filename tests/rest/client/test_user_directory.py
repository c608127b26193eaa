"""Searching for users over HTTP, on both databases, through every kind that serves it."""

from __future__ import annotations

from typing import Any, ClassVar

from synapse_lite.app.table import CLIENT_READER, USER_DIR
from synapse_lite.handlers.user_directory_upkeep import UPKEEP_SECONDS, UserDirectoryUpkeep
from synapse_lite.storage import user_directory as directory_store
from tests.harness.homeserver import make_worker, now
from tests.rest.client.rooms import ALICE, BOB, CAROL, RoomsCase


class DirectoryCase(RoomsCase):
    """Alice searches, through master and workers, who must agree."""

    def setUp(self) -> None:
        super().setUp()
        now(self.master.hs.part(UserDirectoryUpkeep).start())
        self.workers = [make_worker(kind, self.master) for kind in (USER_DIR, CLIENT_READER)]
        self.catch_up()

    def catch_up(self) -> None:
        self.master.reactor.pump([UPKEEP_SECONDS] * 4)

    def name(self, user_id: str, name: str, token: str) -> None:
        self.ok("PUT", f"profile/{user_id}/displayname", {"displayname": name}, token)

    def search(self, term: str, token: str | None = None, **options: Any) -> Any:
        body = {"search_term": term, **options}
        answer = self.ok("POST", "user_directory/search", body, token)
        for worker in self.workers:
            other = worker.request("POST", "user_directory/search", body, token or self.alice)
            self.assertEqual(other.json, answer)
        return answer

    def found(self, term: str, token: str | None = None, **options: Any) -> list[str]:
        return [user["user_id"] for user in self.search(term, token, **options)["results"]]


class WhoIsFoundTests(DirectoryCase):
    def test_who_shares_a_room(self) -> None:
        room_id = self.room(preset="private_chat", invite=[BOB])
        self.catch_up()
        self.assertEqual(self.found("bob"), [])  # an invite is not enough
        self.join(room_id, self.bob)
        self.catch_up()
        self.assertEqual(self.found("bob"), [BOB])
        self.assertEqual(self.found("alice", self.bob), [ALICE])
        self.assertEqual(self.found("alice", self.carol), [])
        self.ok("POST", f"rooms/{room_id}/leave", {}, self.bob)
        self.catch_up()
        self.assertEqual(self.found("bob"), [])

    def test_who_is_in_a_public_room(self) -> None:
        room_id = self.master.create_room(self.bob, preset="public_chat")
        self.catch_up()
        self.assertEqual(self.found("bob"), [BOB])
        rules = f"rooms/{room_id}/state/m.room.join_rules/"
        self.ok("PUT", rules, {"join_rule": "invite"}, self.bob)
        self.catch_up()
        self.assertEqual(self.found("bob"), [])
        visible = f"rooms/{room_id}/state/m.room.history_visibility/"
        self.ok("PUT", visible, {"history_visibility": "world_readable"}, self.bob)
        self.catch_up()
        self.assertEqual(self.found("bob"), [BOB])

    def test_not_oneself(self) -> None:
        self.room()
        self.catch_up()
        self.assertEqual(self.found("alice"), [])

    def test_neither_locked_nor_deactivated_users(self) -> None:
        room_id = self.room()
        for token in (self.bob, self.carol):
            self.join(room_id, token)
        self.catch_up()
        self.assertEqual(set(self.found("test")), {BOB, CAROL})
        now(self.master.store.set_locked(BOB, True))
        self.assertEqual(self.found("test"), [CAROL])
        now(self.master.store.set_locked(BOB, False))
        self.assertEqual(set(self.found("test")), {BOB, CAROL})
        now(self.master.store.deactivate_user(CAROL, erase=False))
        self.assertEqual(self.found("test"), [BOB])

    def test_examining_is_bounded(self) -> None:
        self.patch(directory_store, "MAX_EXAMINED", 1)
        room_id = self.room()
        for token in (self.bob, self.carol):
            self.join(room_id, token)
        self.catch_up()
        self.assertEqual(len(self.found("test")), 1)

    def test_a_search_takes_few_statements(self) -> None:
        room_id = self.room()
        self.join(room_id, self.bob)
        self.catch_up()
        with self.master.db.recording() as statements:
            self.ok("POST", "user_directory/search", {"search_term": "bob"})
        self.assertLessEqual(len(statements), 4)


class NameTests(DirectoryCase):
    def setUp(self) -> None:
        super().setUp()
        self.join(self.room(), self.bob)

    def assert_finds(self, name: str, *terms: str) -> None:
        self.name(BOB, name, self.bob)
        self.catch_up()
        for term in terms:
            self.assertEqual(self.found(term), [BOB], term)

    def test_ids_and_names(self) -> None:
        self.assert_finds(
            "Robert de la Tour",
            "bob",
            "BO",
            "@bob",
            "@bob:test",
            "rob",
            "Tour",
            "robert tour",
            "obert",
            "t",
            "la",
        )
        self.assertEqual(self.found("robert smith"), [])
        (user,) = self.search("bob")["results"]
        self.assertEqual(user, {"user_id": BOB, "display_name": "Robert de la Tour"})

    def test_pictures(self) -> None:
        picture = {"avatar_url": "mxc://test/picture"}
        self.ok("PUT", f"profile/{BOB}/avatar_url", picture, self.bob)
        self.catch_up()
        (user,) = self.search("bob")["results"]
        self.assertEqual(user, {"user_id": BOB, "display_name": "bob", **picture})

    def test_other_scripts(self) -> None:
        self.assert_finds("王小明", "王", "小明", "王小明", "明")
        self.assert_finds("たなか ゆき", "たな", "なか", "ゆ")
        self.assert_finds("김철수", "김", "철수")
        self.assert_finds("Zoë Müller 🦊", "zoe", "MULLER", "üll", "🦊")
        self.assertEqual(self.found("王小明"), [])  # a former name

    def test_operators_and_emptiness(self) -> None:
        self.name(BOB, "Rob OR Near", self.bob)
        self.catch_up()
        for term, found in (
            ('rob AND "near', []),
            ("rob OR near", [BOB]),
            ("rob:* & !near", [BOB]),
            ("NEAR(rob)", [BOB]),
            ("", []),
            ("*", []),
            ("%", []),
            ("x" * 1000, []),
        ):
            self.assertEqual(self.found(term), found, term)

    def test_null_characters_are_refused(self) -> None:
        body = {"search_term": "b\0b"}
        answer = self.request("POST", "user_directory/search", body)
        self.assert_error(answer, 400, "M_INVALID_PARAM")
        self.assert_error(self.request("POST", "user_directory/search", {}), 400, "M_MISSING_PARAM")


class OrderTests(DirectoryCase):
    def people(self, *names: str) -> dict[str, str]:
        """Users with names, all in one public room without Alice."""
        tokens = {name: self.master.register(name) for name in names}
        first = next(iter(tokens.values()))
        room_id = self.master.create_room(first, preset="public_chat")
        for token in list(tokens.values())[1:]:
            self.join(room_id, token)
        self.catch_up()
        return tokens

    def test_whole_before_beginning_before_inside(self) -> None:
        self.people("joanna", "ann", "anna")
        self.assertEqual(self.found("ann"), ["@ann:test", "@anna:test", "@joanna:test"])

    def test_who_shares_a_room_goes_first(self) -> None:
        tokens = self.people("ann", "anna")
        self.join(self.room(), tokens["anna"])
        self.catch_up()
        self.assertEqual(self.found("ann"), ["@anna:test", "@ann:test"])

    def test_limits(self) -> None:
        names = [f"person{number}" for number in range(12)]
        self.people(*names)
        answer = self.search("person")
        self.assertEqual((len(answer["results"]), answer["limited"]), (10, True))
        answer = self.search("person", limit=12)
        self.assertEqual((len(answer["results"]), answer["limited"]), (12, False))
        answer = self.search("person", limit=10_000)
        self.assertEqual((len(answer["results"]), answer["limited"]), (12, False))
        self.assertEqual(self.search("person", limit=0), {"results": [], "limited": True})


class AllUsersTests(DirectoryCase):
    overrides: ClassVar[Any] = {"user_directory": {"search_all_users": True}}

    def test_users_without_rooms(self) -> None:
        self.assertEqual(self.found("bob"), [BOB])
        dora = self.master.register("dora")
        self.catch_up()
        self.assertEqual(self.found("dora"), ["@dora:test"])
        self.name("@dora:test", "Explorer", dora)
        self.catch_up()
        self.assertEqual(self.found("explorer"), ["@dora:test"])


class LockedUsersTests(DirectoryCase):
    overrides: ClassVar[Any] = {
        "user_directory": {"search_all_users": True, "show_locked_users": True}
    }

    def test_locked_users_may_be_shown(self) -> None:
        now(self.master.store.set_locked(BOB, True))
        self.assertEqual(self.found("bob"), [BOB])


class DisabledTests(DirectoryCase):
    overrides: ClassVar[Any] = {
        "user_directory": {"enabled": False, "search_all_users": True},
        "update_user_directory": False,
    }

    def test_nobody_is_found(self) -> None:
        self.assertEqual(self.search("bob"), {"results": [], "limited": False})


class PostgresWhoIsFoundTests(WhoIsFoundTests):
    postgres = True


class PostgresNameTests(NameTests):
    postgres = True


class PostgresOrderTests(OrderTests):
    postgres = True


class PostgresAllUsersTests(AllUsersTests):
    postgres = True
