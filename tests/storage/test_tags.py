"""Tags: the same on master and worker before and after each change."""

from __future__ import annotations

from synapse_lite.app.table import SYNCHROTRON
from synapse_lite.streams import TAG_ACCOUNT_DATA, TagRow
from tests.harness.homeserver import SameAnswerCase, make_master, make_worker, now

ALICE = "@alice:test"
ROOM = "!a:test"
OTHER = "!b:test"


class TagsTests(SameAnswerCase):
    def setUp(self) -> None:
        self.master = make_master()
        self.worker = make_worker(SYNCHROTRON, self.master)

    @property
    def position(self) -> int:
        return self.master.store.current_token(TAG_ACCOUNT_DATA)

    def put(self, tag: str, order: float, room_id: str = ROOM) -> None:
        now(self.master.store.set_tag(ALICE, room_id, tag, {"order": order}))

    def remove(self, tag: str) -> None:
        now(self.master.store.remove_tag(ALICE, ROOM, tag))

    def test_reads_follow_changes(self) -> None:
        self.assertEqual(self.check("get_tags_for_user", ALICE), {})
        self.put("u.x", 0.25)
        self.put("u.y", 1, OTHER)
        self.assertEqual(
            self.check("get_tags_for_user", ALICE),
            {ROOM: {"u.x": {"order": 0.25}}, OTHER: {"u.y": {"order": 1}}},
        )
        self.put("u.x", 0.5)
        self.assertEqual(self.check("get_tags_for_user", ALICE)[ROOM], {"u.x": {"order": 0.5}})
        self.remove("u.x")
        self.assertEqual(list(self.check("get_tags_for_user", ALICE)), [OTHER])
        self.assertEqual(self.check("get_tags_for_user", "@bob:test"), {})

    def test_changes(self) -> None:
        start = self.position
        self.put("u.x", 1)
        middle = self.position
        self.put("u.x", 1, OTHER)
        changes = "get_tag_changes"
        self.assertEqual(self.check(changes, ALICE, start, middle), {ROOM})
        self.assertEqual(self.check(changes, ALICE, middle, self.position), {OTHER})
        self.assertEqual(self.check(changes, "@bob:test", start, self.position), set())
        middle = self.position
        self.remove("u.none")
        self.assertEqual(self.check(changes, ALICE, middle, self.position), set())
        self.remove("u.x")
        self.assertEqual(self.check(changes, ALICE, middle, self.position), {ROOM})

    def test_missed_rows_say_what_is_now(self) -> None:
        start = self.position
        self.put("u.x", 1)
        self.put("u.x", 2, OTHER)
        self.put("u.y", 3)
        rows = now(self.master.store.rows_between(TAG_ACCOUNT_DATA, start, self.position, 10))
        self.assertEqual(
            [row for _, row in rows],
            [
                TagRow(ALICE, OTHER, {"u.x": {"order": 2}}),
                TagRow(ALICE, ROOM, {"u.x": {"order": 1}, "u.y": {"order": 3}}),
            ],
        )
        self.remove("u.x")
        self.remove("u.y")
        rows = now(self.master.store.rows_between(TAG_ACCOUNT_DATA, start, self.position, 10))
        self.assertEqual([row for _, row in rows][-1], TagRow(ALICE, ROOM, {}))
