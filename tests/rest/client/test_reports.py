"""Reports of rooms, events and users."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import quote

from synapse_lite.storage.reports import Report
from tests.harness.homeserver import UNLIMITED, now
from tests.rest.client.rooms import ALICE, BOB, RoomsCase


class ReportsTests(RoomsCase):
    overrides: ClassVar[dict[str, Any]] = {"rc_reports": UNLIMITED}

    def reports(self) -> list[Report]:
        """All reports, oldest first."""
        stored = now(self.master.store.get_reports(limit=100))
        return [each.report for each in reversed(stored)]

    def test_an_event_is_reported_by_who_is_in_its_room(self) -> None:
        room_id = self.room()
        event_id = self.master.send(self.alice, room_id, "bad words")
        path = f"rooms/{room_id}/report/{quote(event_id)}"
        refused = self.request("POST", path, {"reason": "no"}, self.bob)
        self.assert_error(refused, 404, "M_NOT_FOUND")
        self.join(room_id, self.bob)
        self.ok("POST", path, {"reason": "no", "score": -100}, self.bob)
        self.master.reactor.advance(1)
        self.ok("POST", path, None, self.bob)
        expected = Report(BOB, room_id, event_id, ALICE, "no", -100)
        self.assertEqual(self.reports(), [expected, Report(BOB, room_id, event_id, ALICE)])

    def test_an_unknown_event_is_refused_as_an_unknown_room_is(self) -> None:
        room_id, other = self.room(), self.room()
        event_id = self.master.send(self.alice, other, "elsewhere")
        answers = [
            self.request("POST", f"rooms/{room}/report/{quote(event)}", {"reason": ""}).json
            for room, event in ((room_id, event_id), (room_id, "$none"), ("!none:test", event_id))
        ]
        self.assertEqual(answers[0]["errcode"], "M_NOT_FOUND")
        self.assertEqual(answers, [answers[0]] * 3)
        self.assertEqual(self.reports(), [])

    def test_rooms_and_users_are_reported_from_outside(self) -> None:
        room_id = self.room(preset="private_chat")
        self.ok("POST", f"rooms/{room_id}/report", {"reason": "spam"}, self.bob)
        self.master.reactor.advance(1)
        self.ok("POST", f"users/{ALICE}/report", {"reason": ""}, self.bob)
        self.assertEqual(
            self.reports(),
            [
                Report(BOB, room_id=room_id, reason="spam"),
                Report(BOB, reported_user=ALICE, reason=""),
            ],
        )

    def test_the_answer_does_not_tell_what_exists(self) -> None:
        room_id = self.room(preset="private_chat")
        for known, unknown in (
            (f"rooms/{room_id}/report", "rooms/!none:test/report"),
            (f"users/{ALICE}/report", "users/@none:test/report"),
        ):
            answers = [
                self.request("POST", path, {"reason": "x"}, self.bob) for path in (known, unknown)
            ]
            self.assertEqual(answers[0].status, 200)
            self.assertEqual(answers[0].body, answers[1].body)
        self.assertEqual(len(self.reports()), 4)

    def test_bad_input(self) -> None:
        for path in ("rooms/!r:test/report", f"users/{ALICE}/report"):
            for body, errcode in (({}, "M_MISSING_PARAM"), ({"reason": 1}, "M_BAD_JSON")):
                self.assert_error(self.request("POST", path, body), 400, errcode)
            long = {"reason": "x" * 20_000}
            self.assert_error(self.request("POST", path, long), 400, "M_INVALID_PARAM")
        for path in ("rooms/room/report", "users/alice/report"):
            self.assert_error(self.request("POST", path, {"reason": ""}), 400, "M_INVALID_PARAM")
        room_id = self.room()
        event_id = quote(self.master.send(self.alice, room_id, "x"))
        for score, errcode in ((1, "M_INVALID_PARAM"), ("bad", "M_BAD_JSON")):
            answer = self.request("POST", f"rooms/{room_id}/report/{event_id}", {"score": score})
            self.assert_error(answer, 400, errcode)

    def test_pages_go_back_in_time(self) -> None:
        for number in range(5):
            self.ok("POST", "rooms/!r:test/report", {"reason": str(number)})
            self.master.reactor.advance(number % 2)
        found = []
        before = None
        while page := now(self.master.store.get_reports(limit=2, before=before)):
            found += page
            before = (page[-1].received_ts, page[-1].report_id)
        self.assertEqual({each.report.reason for each in found}, set("01234"))
        times = [each.received_ts for each in found]
        self.assertEqual(times, sorted(times, reverse=True))


class ReportLimitTests(RoomsCase):
    overrides: ClassVar[dict[str, Any]] = {"rc_reports": {"per_second": 0.1, "burst_count": 2}}

    def test_all_kinds_count_together(self) -> None:
        self.ok("POST", "rooms/!r:test/report", {"reason": ""})
        self.ok("POST", f"users/{BOB}/report", {"reason": ""})
        answer = self.request("POST", "rooms/!r:test/report/$e", {})
        self.assert_error(answer, 429, "M_LIMIT_EXCEEDED")
        self.ok("POST", f"users/{ALICE}/report", {"reason": ""}, self.bob)
