"""Account data: for its owner only, and not what the server keeps under that name."""

from __future__ import annotations

from typing import Any

from synapse_lite.app.table import CLIENT_READER
from synapse_lite.handlers import account_data
from tests.harness.homeserver import Answer, make_worker

from .rooms import ALICE, BOB, RoomsCase

ROOM = f"user/{ALICE}/rooms/!r:test/account_data"
GLOBAL = f"user/{ALICE}/account_data"


class AccountDataTests(RoomsCase):
    def setUp(self) -> None:
        super().setUp()
        self.worker = make_worker(CLIENT_READER, self.master)

    def get(self, path: str) -> Answer:
        """What Alice reads; the worker must say the same."""
        answer = self.request("GET", path)
        other = self.worker.request("GET", path, None, self.alice)
        self.assertEqual((other.status, other.json), (answer.status, answer.json))
        return answer

    def test_set_and_replace(self) -> None:
        for folder in (GLOBAL, ROOM):
            path = f"{folder}/org.example.x"
            self.assert_error(self.get(path), 404, "M_NOT_FOUND")
            for content in ({"a": [1, None, "☃"]}, {}):
                self.assertEqual(self.ok("PUT", path, content), {})
                self.assertEqual(self.get(path).json, content)

    def test_global_and_room_are_apart(self) -> None:
        self.ok("PUT", f"{GLOBAL}/x", {"where": "everywhere"})
        self.ok("PUT", f"{ROOM}/x", {"where": "room"})
        self.assertEqual(self.get(f"{GLOBAL}/x").json, {"where": "everywhere"})
        self.assertEqual(self.get(f"{ROOM}/x").json, {"where": "room"})
        other = f"user/{ALICE}/rooms/!other:test/account_data/x"
        self.assert_error(self.get(other), 404, "M_NOT_FOUND")

    def test_the_number_of_types_is_bounded(self) -> None:
        for limit, folder in (("MAX_TYPES", GLOBAL), ("MAX_ROOM_TYPES", ROOM)):
            self.patch(account_data, limit, 2)
            for name in ("a", "b", "a"):
                self.ok("PUT", f"{folder}/{name}", {})
            answer = self.request("PUT", f"{folder}/c", {})
            self.assert_error(answer, 413, "M_TOO_LARGE")
            self.assert_error(self.get(f"{folder}/c"), 404, "M_NOT_FOUND")
            self.ok("PUT", f"{folder}/b", {"changed": True})
        # Each user by themselves.
        self.ok("PUT", f"user/{BOB}/account_data/c", {}, self.bob)

    def test_only_the_owner(self) -> None:
        for folder in (GLOBAL, ROOM):
            self.ok("PUT", f"{folder}/x", {"secret": True})
            for method, body in (("GET", None), ("PUT", {})):
                answer = self.request(method, f"{folder}/x", body, self.bob)
                self.assert_error(answer, 403, "M_FORBIDDEN")
            self.assertEqual(self.get(f"{folder}/x").json, {"secret": True})
        answer = self.request("GET", f"user/{BOB}/account_data/x", None, self.bob)
        self.assert_error(answer, 404, "M_NOT_FOUND")

    def test_what_the_server_keeps(self) -> None:
        for path in (
            f"{GLOBAL}/m.push_rules",
            f"{GLOBAL}/m.fully_read",
            f"{ROOM}/m.push_rules",
            f"{ROOM}/m.fully_read",
            f"{ROOM}/m.tag",
        ):
            self.assert_error(self.request("PUT", path, {}), 405, "M_BAD_JSON")
        self.assertEqual(self.get(f"{GLOBAL}/m.push_rules").json, self.ok("GET", "pushrules/"))
        self.assert_error(self.get(f"{ROOM}/m.tag"), 404, "M_NOT_FOUND")
        self.ok("PUT", f"user/{ALICE}/rooms/!r:test/tags/u.x", {"order": 0.5})
        self.assertEqual(self.get(f"{ROOM}/m.tag").json, {"tags": {"u.x": {"order": 0.5}}})

    def test_bad_requests(self) -> None:
        bad: tuple[tuple[str, Any, int, str], ...] = (
            (f"{GLOBAL}/x", [], 400, "M_BAD_JSON"),
            (f"{GLOBAL}/x", b"{", 400, "M_NOT_JSON"),
            (f"{GLOBAL}/{'x' * 256}", {}, 400, "M_INVALID_PARAM"),
            (f"{GLOBAL}/a%00b", {}, 400, "M_INVALID_PARAM"),
            (f"{GLOBAL}/x", {"x": "y" * 1024 * 1024}, 413, "M_TOO_LARGE"),
            (f"user/{ALICE}/rooms/{BOB}/account_data/x", {}, 400, "M_INVALID_PARAM"),
        )
        for path, body, status, errcode in bad:
            self.assert_error(self.request("PUT", path, body, judged=False), status, errcode)
        answer = self.get(f"user/{ALICE}/rooms/{BOB}/account_data/x")
        self.assert_error(answer, 400, "M_INVALID_PARAM")
