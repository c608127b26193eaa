"""Devices: who sees and names them, and logging them out with the password."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import TestCase

from tests.harness.homeserver import make_master

PASSWORD = "secret password"
STAGE = {"type": "m.login.password", "user": "alice", "password": PASSWORD}


class DeviceTests(TestCase):
    def setUp(self) -> None:
        self.master = make_master()
        self.token = self.master.register("alice")
        self.phone = self.log_in("PHONE")
        self.tablet = self.log_in("TABLET")

    def log_in(self, device_id: str) -> str:
        body = {**STAGE, "device_id": device_id}
        token: str = self.master.ok("POST", "login", body)["access_token"]
        return token

    def request(self, method: str, path: str, body: Any = None) -> Any:
        return self.master.request(method, path, body, self.token)

    def whoami(self, token: str) -> int:
        status: int = self.master.request("GET", "account/whoami", access_token=token).status
        return status

    def names(self) -> list[str]:
        devices = self.master.ok("GET", "devices", None, self.token)["devices"]
        return [device["device_id"] for device in devices]

    def test_own_devices_only(self) -> None:
        bob = self.master.register("bob")
        self.assertEqual(len(self.names()), 3)
        self.assertEqual(len(self.master.ok("GET", "devices", None, bob)["devices"]), 1)
        foreign = self.master.request("GET", "devices/PHONE", access_token=bob)
        self.assertEqual((foreign.status, foreign.json["errcode"]), (404, "M_NOT_FOUND"))
        renamed = self.master.request("PUT", "devices/PHONE", {"display_name": "x"}, bob)
        self.assertEqual(renamed.status, 404)

    def test_every_field_is_there_at_once(self) -> None:
        """matrix-nio refuses a list in which one is missing."""
        self.master.reactor.advance(600)
        self.log_in("NEW")
        self.assertEqual(
            self.request("GET", "devices/NEW").json,
            {
                "device_id": "NEW",
                "display_name": "",
                "last_seen_ip": "127.0.0.1",
                "last_seen_ts": self.master.hs.clock.time_ms(),
            },
        )

    def test_last_seen_is_shown_before_it_is_written(self) -> None:
        self.master.reactor.advance(600)
        self.assertEqual(self.whoami(self.phone), 200)
        device = self.master.ok("GET", "devices/PHONE", None, self.token)
        self.assertEqual(device["last_seen_ts"], self.master.hs.clock.time_ms())
        self.assertEqual(device["last_seen_ip"], "127.0.0.1")

    def test_renaming(self) -> None:
        self.assertEqual(self.request("PUT", "devices/PHONE", {"display_name": "P"}).json, {})
        self.assertEqual(self.request("GET", "devices/PHONE").json["display_name"], "P")
        self.assertEqual(self.request("PUT", "devices/PHONE", {}).status, 200)
        self.assertEqual(self.request("GET", "devices/PHONE").json["display_name"], "P")
        self.assertEqual(self.request("PUT", "devices/NONE", {}).status, 404)
        long = self.request("PUT", "devices/PHONE", {"display_name": "x" * 401})
        self.assertEqual(long.json["errcode"], "M_INVALID_PARAM")

    def test_deleting_needs_the_password(self) -> None:
        asked = self.request("DELETE", "devices/PHONE")
        self.assertEqual(asked.status, 401)
        self.assertEqual(self.whoami(self.phone), 200)
        auth = {**STAGE, "session": asked.json["session"]}
        self.assertEqual(self.request("DELETE", "devices/PHONE", {"auth": auth}).json, {})
        self.assertEqual(self.whoami(self.phone), 401)
        self.assertNotIn("PHONE", self.names())

    def test_a_session_is_for_one_device(self) -> None:
        session = self.request("DELETE", "devices/PHONE").json["session"]
        auth = {**STAGE, "session": session}
        other = self.request("DELETE", "devices/TABLET", {"auth": auth})
        self.assertEqual((other.status, other.json["errcode"]), (403, "M_FORBIDDEN"))
        self.assertEqual(self.whoami(self.tablet), 200)

    def test_a_session_is_for_one_user(self) -> None:
        bob = self.master.register("bob")
        session = self.request("DELETE", "devices/PHONE").json["session"]
        auth = {**STAGE, "user": "bob", "session": session}
        answer = self.master.request("DELETE", "devices/PHONE", {"auth": auth}, bob)
        self.assertEqual(answer.status, 403)

    def test_deleting_several(self) -> None:
        body = {"devices": ["PHONE", "TABLET", "NONE"]}
        self.assertEqual(self.request("POST", "delete_devices", body).status, 401)
        done = self.request("POST", "delete_devices", {**body, "auth": STAGE})
        self.assertEqual((done.status, done.json), (200, {}))
        self.assertEqual([self.whoami(self.phone), self.whoami(self.tablet)], [401, 401])
        self.assertEqual(len(self.names()), 1)

    def test_bad_requests(self) -> None:
        for body, errcode in (
            ({}, "M_MISSING_PARAM"),
            ({"devices": "PHONE"}, "M_BAD_JSON"),
            ({"devices": [1]}, "M_BAD_JSON"),
            ({"devices": ["x"] * 1001}, "M_INVALID_PARAM"),
        ):
            answer = self.request("POST", "delete_devices", body)
            self.assertEqual((answer.status, answer.json["errcode"]), (400, errcode))
        nothing = self.request("POST", "delete_devices", {"devices": [], "auth": STAGE})
        self.assertEqual(nothing.status, 200)
