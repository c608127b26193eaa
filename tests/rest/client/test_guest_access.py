"""Guests: how they come, what they may do, when they must go, and how they become users."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from twisted.trial.unittest import TestCase

from synapse_lite.app.kinds.client_reader import CLIENT_READER
from synapse_lite.handlers.guest_access import GuestAccessDuty
from synapse_lite.handlers.membership import JOIN, MembershipHandler
from synapse_lite.http.endpoint import Auth, endpoints_of
from synapse_lite.rest.servlets import SERVLETS
from synapse_lite.types.requester import Requester
from tests.harness.homeserver import UNLIMITED, make_master, make_worker, now

PASSWORD = "secret password"
DUMMY = {"type": "m.login.dummy"}

OF_GUESTS = """
    GET /rooms/{}/state
    GET /rooms/{}/context/{}
    GET /rooms/{}/event/{}
    GET /rooms/{}/state/{}/{}
    GET /rooms/{}/messages
    GET /rooms/{}/members
    GET /rooms/{}/initialSync
    GET /sync
    GET /events
    GET /media/download/{}/{}
    GET /media/download/{}/{}/{}
    GET /media/thumbnail/{}/{}
    POST /rooms/{}/join
    POST /rooms/{}/leave
    PUT /rooms/{}/send/{}/{}
    PUT /rooms/{}/state/{}/{}
    PUT /sendToDevice/{}/{}
    PUT /profile/{}/{}
    DELETE /profile/{}/{}
    GET /devices
    GET /devices/{}
    PUT /devices/{}
    GET /account/whoami
    POST /keys/upload
    POST /keys/query
    POST /keys/claim
"""
"""The list of the specification (client-server API, "Guest Access", client behaviour)."""

ALIKE = """
    GET /rooms/{}/state/{}
    PUT /rooms/{}/state/{}
    POST /rooms/{}/send/{}
    POST /keys/upload/{}
"""
"""Older forms of these: without a state key, a transaction id, or with a device id."""

OF_CLIENTS = """
    POST /join/{}
    GET /capabilities
    POST /user/{}/filter
    GET /user/{}/filter/{}
    POST /publicRooms
"""
"""What clients that let guests in ask for although the list does not name it."""

BY_OPTION = {("GET", "/voip/turnServer")}
"""Which guests may have where the configuration says so (`turn_allow_guests`)."""


def _listed(text: str) -> set[tuple[str, str]]:
    lines = [line.split() for line in text.splitlines() if line.strip()]
    return {(method, template) for method, template in lines}


def _declared() -> dict[tuple[str, str], Auth]:
    """Every endpoint of the client-server API for which an account is needed."""
    return {
        (method, re.sub(r"{\w+}", "{}", endpoint.template)): endpoint.auth
        for servlet in SERVLETS
        if servlet.__module__.startswith("synapse_lite.rest.client.")
        for endpoint in endpoints_of(servlet)
        for method in endpoint.methods
        if endpoint.auth in (Auth.USER, Auth.GUEST, Auth.ADMIN)
    }


class DeclarationTests(TestCase):
    def test_guests_may_call_what_is_listed_and_nothing_else(self) -> None:
        declared = _declared()
        allowed = {key for key, auth in declared.items() if auth is Auth.GUEST} - BY_OPTION
        expected = (_listed(OF_GUESTS + ALIKE + OF_CLIENTS)) & declared.keys()
        self.assertEqual(allowed, expected)
        self.assertGreater(len(expected), 15)


class GuestCase(TestCase):
    overrides: ClassVar[dict[str, Any]] = {"allow_guest_access": True}

    def setUp(self) -> None:
        self.master = make_master(self.overrides)
        self.alice = self.master.register("alice")

    def register_guest(self, body: Any = None, **kwargs: Any) -> Any:
        return self.master.request("POST", "register?kind=guest", body, **kwargs)

    def guest(self) -> tuple[str, str]:
        """The user id and the token of a new guest."""
        answer = self.register_guest({})
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json["user_id"], answer.json["access_token"]

    def room(self, access: str | None = "can_join") -> str:
        room_id = self.master.create_room(self.alice, preset="public_chat")
        if access is not None:
            self.set_access(room_id, access)
        return room_id

    def set_access(self, room_id: str, access: str) -> str:
        content = {"guest_access": access}
        path = f"rooms/{room_id}/state/m.room.guest_access/"
        event_id: str = self.master.ok("PUT", path, content, self.alice)["event_id"]
        return event_id

    def join(self, room_id: str, token: str) -> Any:
        return self.master.request("POST", f"rooms/{room_id}/join", {}, token)

    def membership(self, room_id: str, user_id: str) -> Any:
        path = f"rooms/{room_id}/state/m.room.member/{user_id}"
        return self.master.ok("GET", path, None, self.alice)["membership"]

    def assert_error(self, answer: Any, status: int, errcode: str) -> None:
        self.assertEqual((answer.status, answer.json["errcode"]), (status, errcode))


class RegistrationTests(GuestCase):
    def test_a_guest_is_made_up_by_the_server(self) -> None:
        body = {
            "username": "bob",
            "password": 7,
            "device_id": "PHONE",
            "refresh_token": True,
            "inhibit_login": True,
            "initial_device_display_name": "Browser",
        }
        answer = self.register_guest(body).json
        self.assertRegex(answer["user_id"], r"^@[a-z]{12}:test$")
        self.assertNotEqual(answer["device_id"], "PHONE")
        self.assertNotIn("refresh_token", answer)
        token = answer["access_token"]
        me = self.master.ok("GET", "account/whoami", None, token)
        self.assertTrue(me["is_guest"])
        devices = self.master.ok("GET", "devices", None, token)["devices"]
        self.assertEqual([device["display_name"] for device in devices], ["Browser"])

    def test_no_body_is_needed(self) -> None:
        self.assertEqual(self.register_guest().status, 200)

    def test_bad_requests(self) -> None:
        for body in ([], {"initial_device_display_name": 1}):
            self.assert_error(self.register_guest(body), 400, "M_BAD_JSON")
        self.assert_error(
            self.master.request("POST", "register?kind=x", {}), 400, "M_INVALID_PARAM"
        )

    def test_a_worker_knows_guests(self) -> None:
        _, token = self.guest()
        worker = make_worker(CLIENT_READER, self.master)
        answer = worker.request("GET", "pushrules/", access_token=token)
        self.assert_error(answer, 403, "M_GUEST_ACCESS_FORBIDDEN")
        self.assertTrue(
            worker.request("GET", "account/whoami", access_token=token).json["is_guest"]
        )


class NoGuestsTests(GuestCase):
    overrides: ClassVar[dict[str, Any]] = {}

    def test_by_default_there_are_none(self) -> None:
        self.assert_error(self.register_guest({}), 403, "M_GUEST_ACCESS_FORBIDDEN")


class LimitTests(GuestCase):
    overrides: ClassVar[dict[str, Any]] = {
        "allow_guest_access": True,
        "rc_registration": {"per_second": 0.1, "burst_count": 3},
    }

    def test_guests_count_as_registrations(self) -> None:
        statuses = [self.register_guest({}).status for _ in range(3)]
        self.assertEqual(statuses, [200, 200, 429])


class EndpointTests(GuestCase):
    def test_what_guests_may_not_do(self) -> None:
        user_id, token = self.guest()
        for method, path in (
            ("POST", "createRoom"),
            ("POST", "logout"),
            ("POST", "logout/all"),
            ("GET", "pushrules/"),
            ("PUT", f"user/{user_id}/account_data/x"),
            ("POST", "account/password"),
            ("POST", "account/deactivate"),
            ("GET", "account/3pid"),
            ("DELETE", "devices/X"),
            ("POST", f"user/{user_id}/openid/request_token"),
        ):
            answer = self.master.request(method, path, {}, token, judged=False)
            self.assert_error(answer, 403, "M_GUEST_ACCESS_FORBIDDEN")

    def test_of_the_profile_they_change_the_name_only(self) -> None:
        user_id, token = self.guest()
        path = f"profile/{user_id}"
        self.master.ok("PUT", f"{path}/displayname", {"displayname": "Visitor"}, token)
        self.assertEqual(self.master.ok("GET", path), {"displayname": "Visitor"})
        for key, value in (("avatar_url", "mxc://test/x"), ("org.example.field", 1)):
            answer = self.master.request("PUT", f"{path}/{key}", {key: value}, token)
            self.assert_error(answer, 403, "M_GUEST_ACCESS_FORBIDDEN")
            answer = self.master.request("DELETE", f"{path}/{key}", None, token)
            self.assert_error(answer, 403, "M_GUEST_ACCESS_FORBIDDEN")
        self.master.ok("DELETE", f"{path}/displayname", None, token)

    def test_what_guests_may_do_in_a_room(self) -> None:
        _, token = self.guest()
        room_id = self.room()
        self.assertEqual(self.join(room_id, token).status, 200)
        self.master.send(token, room_id, "hello")
        self.master.ok("GET", f"rooms/{room_id}/messages?dir=b", None, token)
        self.assertIn(room_id, self.master.ok("GET", "sync", None, token)["rooms"]["join"])
        self.master.ok("POST", f"rooms/{room_id}/leave", {}, token)

    def test_devices(self) -> None:
        _, token = self.guest()
        (device,) = self.master.ok("GET", "devices", None, token)["devices"]
        path = f"devices/{device['device_id']}"
        self.master.ok("PUT", path, {"display_name": "Tab"}, token)
        self.assertEqual(self.master.ok("GET", path, None, token)["display_name"], "Tab")


class JoinTests(GuestCase):
    def test_by_the_path_that_clients_use(self) -> None:
        _, token = self.guest()
        answer = self.master.request("POST", f"join/{self.room()}", {}, token)
        self.assertEqual(answer.status, 200)
        answer = self.master.request("POST", f"join/{self.room('forbidden')}", {}, token)
        self.assert_error(answer, 403, "M_GUEST_ACCESS_FORBIDDEN")

    def test_only_where_guests_may_join(self) -> None:
        _, token = self.guest()
        for access in (None, "forbidden", "odd"):
            answer = self.join(self.room(access), token)
            self.assert_error(answer, 403, "M_GUEST_ACCESS_FORBIDDEN")
        self.assertEqual(self.join(self.room(), token).status, 200)

    def test_an_invite_changes_nothing(self) -> None:
        user_id, token = self.guest()
        room_id = self.room("forbidden")
        self.master.ok("POST", f"rooms/{room_id}/invite", {"user_id": user_id}, self.alice)
        self.assert_error(self.join(room_id, token), 403, "M_GUEST_ACCESS_FORBIDDEN")

    def test_nor_does_setting_the_state_oneself(self) -> None:
        user_id, token = self.guest()
        path = f"rooms/{self.room('forbidden')}/state/m.room.member/{user_id}"
        answer = self.master.request("PUT", path, {"membership": "join"}, token)
        self.assert_error(answer, 403, "M_GUEST_ACCESS_FORBIDDEN")

    def test_users_join_anyway(self) -> None:
        bob = self.master.register("bob")
        self.assertEqual(self.join(self.room("forbidden"), bob).status, 200)


class WithdrawalTests(GuestCase):
    def setUp(self) -> None:
        super().setUp()
        self.duty = self.master.hs.part(GuestAccessDuty)
        now(self.duty.start())

    def joined_guest(self, room_id: str) -> str:
        user_id, token = self.guest()
        self.assertEqual(self.join(room_id, token).status, 200)
        return user_id

    def test_guests_leave_when_access_is_withdrawn(self) -> None:
        room_id, other = self.room(), self.room()
        guests = [self.joined_guest(room_id) for _ in range(3)]
        elsewhere = self.joined_guest(other)
        bob = self.master.register("bob")
        self.join(room_id, bob)
        self.set_access(room_id, "forbidden")
        found = [self.membership(room_id, user_id) for user_id in guests]
        self.assertEqual(found, ["leave"] * 3)
        self.assertEqual(self.membership(room_id, "@bob:test"), "join")
        self.assertEqual(self.membership(other, elsewhere), "join")

    def test_a_redaction_withdraws_it_too(self) -> None:
        room_id = self.room(None)
        event_id = self.set_access(room_id, "can_join")
        user_id = self.joined_guest(room_id)
        self.master.ok("PUT", f"rooms/{room_id}/redact/{event_id}/1", {}, self.alice)
        self.assertEqual(self.membership(room_id, user_id), "leave")

    def test_what_was_left_undone_is_done_at_the_next_start(self) -> None:
        room_id = self.room()
        user_id = self.joined_guest(room_id)
        now(self.duty.stop())
        self.set_access(room_id, "forbidden")
        self.assertEqual(self.membership(room_id, user_id), "join")
        now(self.duty.start())
        self.assertEqual(self.membership(room_id, user_id), "leave")

    def test_a_guest_who_joins_at_the_same_moment(self) -> None:
        """As if a process had not heard of the change yet."""
        user_id, _ = self.guest()
        room_id = self.room("forbidden")
        handler = self.master.hs.part(MembershipHandler)
        now(handler.update_membership(Requester(user_id), user_id, room_id, JOIN))
        self.assertEqual(self.membership(room_id, user_id), "leave")


class WithdrawalLimitTests(WithdrawalTests):
    overrides: ClassVar[dict[str, Any]] = {
        "allow_guest_access": True,
        "rc_message": {"per_second": 0.5, "burst_count": 5},
        "rc_joins": {"local": UNLIMITED, "remote": UNLIMITED},
    }

    def membership(self, room_id: str, user_id: str) -> Any:
        self.master.reactor.advance(5)
        return super().membership(room_id, user_id)


class UpgradeTests(GuestCase):
    def upgrade(self, token: Any, username: Any, **fields: Any) -> Any:
        body = {"guest_access_token": token, "password": PASSWORD, "auth": DUMMY, **fields}
        if username is not None:
            body["username"] = username
        return self.master.request("POST", "register", body)

    def test_a_guest_becomes_a_user_and_stays_in_the_rooms(self) -> None:
        user_id, token = self.guest()
        name = user_id[1:].partition(":")[0]
        self.master.ok("PUT", f"profile/{user_id}/displayname", {"displayname": "Visitor"}, token)
        room_id = self.room()
        self.join(room_id, token)
        answer = self.upgrade(token, name)
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(answer.json["user_id"], user_id)
        me = self.master.ok("GET", "account/whoami", None, answer.json["access_token"])
        self.assertFalse(me["is_guest"])
        self.assertEqual(self.membership(room_id, user_id), "join")
        self.assertEqual(self.master.ok("GET", f"profile/{user_id}")["displayname"], "Visitor")
        body = {"type": "m.login.password", "user": name, "password": PASSWORD}
        self.assertEqual(self.master.request("POST", "login", body).status, 200)

    def test_the_token_of_the_guest_ends(self) -> None:
        user_id, token = self.guest()
        self.upgrade(token, user_id[1:].partition(":")[0])
        answer = self.master.request("GET", "account/whoami", access_token=token)
        self.assert_error(answer, 401, "M_UNKNOWN_TOKEN")

    def test_the_name_must_be_that_of_the_guest(self) -> None:
        _, token = self.guest()
        for name in ("bob", "alice", None):
            self.assert_error(self.upgrade(token, name), 403, "M_FORBIDDEN")

    def test_the_token_must_be_that_of_a_guest(self) -> None:
        for token in (self.alice, "x", ""):
            self.assert_error(self.upgrade(token, "alice"), 403, "M_FORBIDDEN")
        self.assert_error(self.upgrade(1, "alice"), 400, "M_BAD_JSON")

    def test_not_twice(self) -> None:
        user_id, token = self.guest()
        name = user_id[1:].partition(":")[0]
        self.assertEqual(self.upgrade(token, name).status, 200)
        self.assert_error(self.upgrade(token, name), 403, "M_FORBIDDEN")
        self.assert_error(
            self.master.request("POST", "register", {"username": name, "password": PASSWORD}),
            400,
            "M_USER_IN_USE",
        )
