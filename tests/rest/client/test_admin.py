"""What administrators see and do: whois, locking, suspending; what suspended users still may."""

from __future__ import annotations

from typing import Any

from synapse_lite.app.kinds.client_reader import CLIENT_READER
from synapse_lite.handlers.client_ips import MasterClientIps
from tests.harness.homeserver import make_worker, now
from tests.rest.client.rooms import ALICE, BOB, RoomsCase

LOCK = "/_matrix/client/v1/admin/lock/"
SUSPEND = "/_matrix/client/v1/admin/suspend/"


class AdminCase(RoomsCase):
    """Alice is an administrator."""

    def setUp(self) -> None:
        super().setUp()
        now(self.master.store.set_admin(ALICE, True))

    def suspend(self, user_id: str = BOB, suspended: bool = True) -> None:
        answer = self.ok("PUT", f"{SUSPEND}{user_id}", {"suspended": suspended})
        self.assertEqual(answer, {"suspended": suspended})


class WhoIsTests(AdminCase):
    def test_connections_by_device_and_session(self) -> None:
        for ip, agent in (("192.0.2.1", "A"), ("192.0.2.2", "B")):
            headers = {"User-Agent": agent}
            self.request("GET", "account/whoami", token=self.bob, client_ip=ip, headers=headers)
            self.master.reactor.advance(1)
        now(self.master.hs.part(MasterClientIps).write())
        body = {"type": "m.login.password", "user": "bob", "password": "secret password"}
        login = self.ok("POST", "login", body)
        self.request("GET", "account/whoami", token=login["access_token"], client_ip="192.0.2.3")
        answer = self.ok("GET", f"admin/whois/{BOB}")
        self.assertEqual(answer["user_id"], BOB)
        self.assertEqual(len(answer["devices"]), 2)
        (session,) = answer["devices"].pop(login["device_id"])["sessions"]
        self.assertEqual([each["ip"] for each in session["connections"]], ["192.0.2.3"])
        ((session,),) = (device["sessions"] for device in answer["devices"].values())
        found = [(each["ip"], each["user_agent"]) for each in session["connections"]]
        self.assertEqual(found, [("192.0.2.2", "B"), ("192.0.2.1", "A")])

    def test_oneself_and_nobody_else(self) -> None:
        self.assertEqual(self.ok("GET", f"admin/whois/{BOB}", None, self.bob)["user_id"], BOB)
        for user_id in (ALICE, "@nobody:test"):
            answer = self.request("GET", f"admin/whois/{user_id}", token=self.bob)
            self.assert_error(answer, 403, "M_FORBIDDEN")
        for user_id in ("@nobody:test", "@x:other.example"):
            answer = self.request("GET", f"admin/whois/{user_id}")
            self.assert_error(answer, 404, "M_NOT_FOUND")

    def test_at_the_path_of_admin_tools(self) -> None:
        path = f"/_synapse/admin/v1/whois/{BOB}"
        self.assertEqual(self.ok("GET", path)["user_id"], BOB)
        self.assert_error(self.request("GET", path, token=self.bob), 403, "M_FORBIDDEN")


class ModerationTests(AdminCase):
    def test_locking_and_unlocking(self) -> None:
        worker = make_worker(CLIENT_READER, self.master)
        self.assertEqual(self.ok("GET", f"{LOCK}{BOB}"), {"locked": False})
        self.assertEqual(self.ok("PUT", f"{LOCK}{BOB}", {"locked": True}), {"locked": True})
        self.assertEqual(self.ok("GET", f"{LOCK}{BOB}"), {"locked": True})
        for server in (self.master, worker):
            answer = server.request("GET", "account/whoami", access_token=self.bob)
            self.assert_error(answer, 401, "M_USER_LOCKED")
            self.assertTrue(answer.json["soft_logout"])
        self.ok("PUT", f"{LOCK}{BOB}", {"locked": False})
        self.ok("GET", "account/whoami", None, self.bob)

    def test_who_may_and_of_whom(self) -> None:
        now(self.master.store.deactivate_user("@carol:test", erase=False))
        for prefix, body in ((LOCK, {"locked": True}), (SUSPEND, {"suspended": True})):
            for user_id, token, status, errcode in (
                (BOB, self.bob, 403, "M_FORBIDDEN"),
                ("@nobody:test", self.bob, 403, "M_FORBIDDEN"),
                (ALICE, self.alice, 403, "M_FORBIDDEN"),
                ("@bob:other.example", self.alice, 400, "M_INVALID_PARAM"),
                ("bob", self.alice, 400, "M_INVALID_PARAM"),
                ("@nobody:test", self.alice, 404, "M_NOT_FOUND"),
                ("@carol:test", self.alice, 404, "M_NOT_FOUND"),
            ):
                for method, sent in (("GET", None), ("PUT", body)):
                    answer = self.request(method, f"{prefix}{user_id}", sent, token)
                    self.assert_error(answer, status, errcode)
            for bad, errcode in (({}, "M_MISSING_PARAM"), (dict.fromkeys(body, 1), "M_BAD_JSON")):
                self.assert_error(self.request("PUT", f"{prefix}{BOB}", bad), 400, errcode)

    def test_administrators_are_told_that_they_may(self) -> None:
        mine = self.ok("GET", "capabilities")["capabilities"]
        self.assertEqual(mine["m.account_moderation"], {"lock": True, "suspend": True})
        others = self.ok("GET", "capabilities", None, self.bob)["capabilities"]
        self.assertNotIn("m.account_moderation", others)


class SuspensionTests(AdminCase):
    def setUp(self) -> None:
        super().setUp()
        self.room_id = self.room()
        self.join(self.room_id, self.bob)
        self.mine = self.master.send(self.bob, self.room_id, "mine")
        self.hers = self.master.send(self.alice, self.room_id, "hers")
        self.suspend()

    def refused(self, method: str, path: str, body: Any = None) -> None:
        answer = self.request(method, path, {} if body is None else body, self.bob)
        self.assert_error(answer, 403, "M_USER_SUSPENDED")

    def test_what_is_forbidden(self) -> None:
        room, other = f"rooms/{self.room_id}", self.room()
        for method, path, body in (
            ("PUT", f"{room}/send/m.room.message/1", {"body": "x", "msgtype": "m.text"}),
            ("PUT", f"{room}/state/m.room.topic/", {"topic": "x"}),
            ("PUT", f"rooms/{other}/state/m.room.member/{BOB}", {"membership": "join"}),
            ("PUT", f"{room}/redact/{self.hers}/2", None),
            ("POST", f"join/{other}", None),
            ("POST", f"rooms/{other}/join", None),
            ("POST", f"knock/{other}", None),
            ("POST", f"{room}/invite", {"user_id": "@carol:test"}),
            ("POST", f"{room}/kick", {"user_id": ALICE}),
            ("POST", "createRoom", None),
            ("PUT", f"profile/{BOB}/displayname", {"displayname": "x"}),
            ("DELETE", f"profile/{BOB}/avatar_url", None),
        ):
            self.refused(method, path, body)

    def test_what_is_still_allowed(self) -> None:
        other = self.room()
        self.ok("POST", f"rooms/{other}/invite", {"user_id": BOB})
        for method, path, body in (
            ("GET", "sync", None),
            ("GET", f"rooms/{self.room_id}/messages?dir=b", None),
            ("PUT", f"rooms/{self.room_id}/redact/{self.mine}/1", {}),
            ("POST", f"rooms/{other}/leave", {}),
            ("POST", f"rooms/{self.room_id}/leave", {}),
            ("GET", "devices", None),
        ):
            self.ok(method, path, body, self.bob)
        body = {"type": "m.login.password", "user": "bob", "password": "secret password"}
        token = self.ok("POST", "login", body)["access_token"]
        self.ok("POST", "logout", {}, token)
        auth = {**body, "type": "m.login.password"}
        self.ok("POST", "account/deactivate", {"auth": auth}, self.bob)

    def test_accepting_an_invite_is_joining(self) -> None:
        other = self.room(preset="private_chat")
        self.ok("POST", f"rooms/{other}/invite", {"user_id": BOB})
        self.refused("POST", f"join/{other}")

    def test_it_is_lifted(self) -> None:
        self.suspend(suspended=False)
        self.master.send(self.bob, self.room_id, "back")

    def test_a_worker_hears_of_it(self) -> None:
        worker = make_worker(CLIENT_READER, self.master)
        store = worker.store
        self.assertTrue(now(store.get_user(BOB)).is_suspended)
        self.suspend(suspended=False)
        self.assertFalse(now(store.get_user(BOB)).is_suspended)


class NotHereTests(AdminCase):
    def test_what_a_server_without_oauth_and_sso_says(self) -> None:
        for path in ("/_matrix/client/v1/auth_metadata", "login/sso/redirect?redirectUrl=x"):
            self.assert_error(self.request("GET", path), 404, "M_UNRECOGNIZED")
