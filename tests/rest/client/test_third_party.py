"""Third-party networks, of which a server without bridges knows none."""

from __future__ import annotations

from urllib.parse import quote

from synapse_lite.app.table import CLIENT_READER
from tests.harness.homeserver import make_worker
from tests.rest.client.rooms import ALICE, RoomsCase


class ThirdPartyTests(RoomsCase):
    def test_nothing_is_found(self) -> None:
        worker = make_worker(CLIENT_READER, self.master)
        for path, expected in (
            ("protocols", {}),
            ("location/irc", []),
            ("user/irc?nick=alice", []),
            (f"location?alias={quote('#cats:test')}", []),
            (f"user?userid={ALICE}", []),
        ):
            for server in (self.master, worker):
                answer = server.request("GET", f"thirdparty/{path}", None, self.alice)
                self.assertEqual((answer.status, answer.json), (200, expected), path)

    def test_a_protocol_that_is_not_there(self) -> None:
        self.assert_error(self.request("GET", "thirdparty/protocol/irc"), 404, "M_NOT_FOUND")

    def test_bad_input(self) -> None:
        for path in ("location", "user"):
            answer = self.request("GET", f"thirdparty/{path}")
            self.assert_error(answer, 400, "M_MISSING_PARAM")
        for path in ("location?alias=cats", "user?userid=alice"):
            answer = self.request("GET", f"thirdparty/{path}")
            self.assert_error(answer, 400, "M_INVALID_PARAM")

    def test_lists_of_bridges_are_for_bridges(self) -> None:
        path = f"directory/list/appservice/irc/{self.room()}"
        answer = self.request("PUT", path, {"visibility": "public"})
        self.assert_error(answer, 403, "M_FORBIDDEN")
