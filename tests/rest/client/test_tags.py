"""Tags of rooms: for their owner only."""

from __future__ import annotations

from typing import Any

from synapse_lite.app.table import CLIENT_READER
from synapse_lite.handlers import account_data
from tests.harness.homeserver import make_worker

from .rooms import ALICE, RoomsCase

TAGS = f"user/{ALICE}/rooms/!r:test/tags"


class TagsTests(RoomsCase):
    def setUp(self) -> None:
        super().setUp()
        self.worker = make_worker(CLIENT_READER, self.master)

    def tags(self) -> Any:
        """What Alice reads; the worker must say the same."""
        answer = self.ok("GET", TAGS)
        self.assertEqual(self.worker.request("GET", TAGS, None, self.alice).json, answer)
        return answer["tags"]

    def test_put_change_and_delete(self) -> None:
        self.assertEqual(self.tags(), {})
        self.assertEqual(self.ok("PUT", f"{TAGS}/m.favourite", {"order": 0.1}), {})
        self.ok("PUT", f"{TAGS}/u.Work%2F1", {})
        self.assertEqual(self.tags(), {"m.favourite": {"order": 0.1}, "u.Work/1": {}})
        self.ok("PUT", f"{TAGS}/m.favourite", {"order": 1})
        self.assertEqual(self.tags()["m.favourite"], {"order": 1})
        for _ in range(2):
            self.assertEqual(self.ok("DELETE", f"{TAGS}/m.favourite"), {})
            self.assertEqual(self.tags(), {"u.Work/1": {}})

    def test_only_the_owner(self) -> None:
        self.ok("PUT", f"{TAGS}/u.x", {})
        for method, path, body in (
            ("GET", TAGS, None),
            ("PUT", f"{TAGS}/u.x", {"order": 1}),
            ("DELETE", f"{TAGS}/u.x", None),
        ):
            answer = self.request(method, path, body, self.bob)
            self.assert_error(answer, 403, "M_FORBIDDEN")
        self.assertEqual(self.tags(), {"u.x": {}})

    def test_bad_requests(self) -> None:
        for tag, body, errcode in (
            ("x" * 256, {}, "M_INVALID_PARAM"),
            ("x", {"order": "0.5"}, "M_BAD_JSON"),
            ("x", {"order": True}, "M_BAD_JSON"),
            ("x", [], "M_BAD_JSON"),
        ):
            answer = self.request("PUT", f"{TAGS}/{tag}", body)
            self.assert_error(answer, 400, errcode)
        answer = self.request("PUT", f"{TAGS.replace('!r:test', 'r')}/x", {})
        self.assert_error(answer, 400, "M_INVALID_PARAM")
        self.assertEqual(self.tags(), {})

    def test_a_room_has_not_too_many(self) -> None:
        self.patch(account_data, "MAX_TAGS", 2)
        for tag in ("u.1", "u.2"):
            self.ok("PUT", f"{TAGS}/{tag}", {})
        self.assert_error(self.request("PUT", f"{TAGS}/u.3", {}), 400, "M_INVALID_PARAM")
        self.ok("PUT", f"{TAGS}/u.2", {"order": 0})
        self.assertEqual(self.tags(), {"u.1": {}, "u.2": {"order": 0}})
