"""Registering: stages, names, limits, what is written."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import TestCase

from synapse_lite.storage.access_tokens import hash_token
from tests.harness.homeserver import make_master, now

DUMMY = {"type": "m.login.dummy"}
PASSWORD = "correct horse"


def application(username: str = "alice", **fields: Any) -> dict[str, Any]:
    return {"username": username, "password": PASSWORD, **fields}


class RegisterTests(TestCase):
    def setUp(self) -> None:
        self.master = make_master()

    def post(self, body: Any, query: str = "", client_ip: str = "127.0.0.1") -> Any:
        return self.master.request("POST", f"register{query}", body, client_ip=client_ip)

    def refused(self, body: Any, status: int, errcode: str, query: str = "") -> None:
        answer = self.post(body, query)
        self.assertEqual((answer.status, answer.json["errcode"]), (status, errcode))

    def test_first_request_is_told_flows_and_session(self) -> None:
        answer = self.post({})
        self.assertEqual(answer.status, 401)
        self.assertEqual(answer.json["flows"], [{"stages": ["m.login.dummy"]}])
        self.assertNotIn("errcode", answer.json)
        self.assertNotIn("completed", answer.json)

    def test_clients_may_ask_for_flows_before_they_know_the_name(self) -> None:
        session = self.post({"inhibit_login": True}).json["session"]
        answer = self.post(application(auth={**DUMMY, "session": session}))
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.json["user_id"], "@alice:test")

    def test_session_ends_with_the_registration(self) -> None:
        session = self.post({}).json["session"]
        self.post(application(auth={**DUMMY, "session": session}))
        again = self.post(application("bob", auth={**DUMMY, "session": session}))
        self.assertEqual(again.status, 401)
        self.assertNotEqual(again.json["session"], session)

    def test_the_token_works_and_is_stored_as_hash_only(self) -> None:
        answer = self.post(application(auth=DUMMY, device_id="PHONE")).json
        token = answer["access_token"]
        me = self.master.ok("GET", "account/whoami", None, token)
        self.assertEqual(me, {"user_id": "@alice:test", "device_id": "PHONE", "is_guest": False})
        rows = now(self.master.db.read("t", lambda txn: txn.query("SELECT * FROM access_tokens")))
        self.assertIn(hash_token(token), rows[0])
        self.assertNotIn(token, str(rows))

    def test_inhibit_login_gives_neither_device_nor_token(self) -> None:
        answer = self.post(application(auth=DUMMY, inhibit_login=True)).json
        self.assertEqual(answer, {"user_id": "@alice:test", "home_server": "test"})

    def test_display_name_is_the_name_at_first(self) -> None:
        self.post(application(auth=DUMMY))
        profile = self.master.ok("GET", "profile/@alice:test")
        self.assertEqual(profile, {"displayname": "alice"})

    def test_capital_letters_are_taken_as_small_ones(self) -> None:
        answer = self.post(application("Alice", auth=DUMMY))
        self.assertEqual(answer.json["user_id"], "@alice:test")

    def test_a_name_is_made_up_when_none_is_given(self) -> None:
        answer = self.post({"password": PASSWORD, "auth": DUMMY})
        self.assertRegex(answer.json["user_id"], r"^@[a-z]{12}:test$")

    def test_taken_and_bad_names_are_refused_before_any_stage(self) -> None:
        self.master.register("alice")
        self.refused(application(), 400, "M_USER_IN_USE")
        for name in ("", "_alice", "al ice", "älice", "a:b", "x" * 251):
            self.refused(application(name), 400, "M_INVALID_USERNAME")

    def test_two_at_once_get_one_account(self) -> None:
        """The second has passed the check of the name when the first is written."""
        first = self.post(application()).json["session"]
        second = self.post(application()).json["session"]
        self.assertEqual(self.post(application(auth={**DUMMY, "session": first})).status, 200)
        # As if the look-up had been made before: the insert itself must refuse.
        self.master.store.get_user.prefill(("@alice:test",), None)
        answer = self.post(application(auth={**DUMMY, "session": second}))
        self.assertEqual((answer.status, answer.json["errcode"]), (400, "M_USER_IN_USE"))
        count = now(self.master.db.read("t", lambda txn: txn.query("SELECT COUNT(*) FROM devices")))
        self.assertEqual(count, [(1,)])

    def test_everything_is_one_transaction(self) -> None:
        with self.master.db.recording() as statements:
            before = self.master.db.counts.transactions
            self.post(application(auth=DUMMY))
            writes = [each for each in statements if each.startswith("INSERT")]
        # One read for the name, one write.
        self.assertEqual(self.master.db.counts.transactions - before, 2)
        self.assertTrue(any("INTO users" in each for each in writes))
        self.assertTrue(any("INTO profiles" in each for each in writes))
        self.assertTrue(any("INTO devices" in each for each in writes))

    def test_missing_and_misshapen_fields(self) -> None:
        self.refused({"username": "alice", "auth": DUMMY}, 400, "M_MISSING_PARAM")
        self.refused({"username": 7}, 400, "M_BAD_JSON")
        self.refused({"auth": "dummy"}, 400, "M_BAD_JSON")
        self.refused(application(auth=DUMMY, password=""), 400, "M_WEAK_PASSWORD")
        self.refused(application(auth=DUMMY, password="x" * 513), 400, "M_INVALID_PARAM")
        self.refused(application(auth=DUMMY, device_id="d" * 256), 400, "M_INVALID_PARAM")
        self.refused(b"[]", 400, "M_BAD_JSON")
        self.refused(b"{", 400, "M_NOT_JSON")

    def test_guests_are_not_offered(self) -> None:
        self.refused({}, 403, "M_GUEST_ACCESS_FORBIDDEN", "?kind=guest")
        self.refused({}, 400, "M_INVALID_PARAM", "?kind=king")

    def test_old_prefix(self) -> None:
        answer = self.master.request("POST", "/_matrix/client/r0/register", {})
        self.assertEqual(answer.status, 401)


class RegistrationLimitTests(TestCase):
    def test_an_address_makes_so_many_accounts(self) -> None:
        master = make_master({"rc_registration": {"per_second": 0.1, "burst_count": 2}})
        for _ in range(5):
            # Asking for flows is free.
            self.assertEqual(master.request("POST", "register", {}).status, 401)
        master.register("a")
        master.register("b")
        limited = master.request("POST", "register", application("c", auth=DUMMY))
        self.assertEqual((limited.status, limited.json["retry_after_ms"]), (429, 10_000))
        elsewhere = master.request(
            "POST", "register", application("c", auth=DUMMY), client_ip="192.0.2.1"
        )
        self.assertEqual(elsewhere.status, 200)
        master.reactor.advance(10)
        self.assertEqual(master.request("POST", "register", {}).status, 401)

    def test_closed_server(self) -> None:
        master = make_master({"enable_registration": False})
        for method, path in (("POST", "register"), ("GET", "register/available?username=x")):
            answer = master.request(method, path, {} if method == "POST" else None)
            self.assertEqual((answer.status, answer.json["errcode"]), (403, "M_FORBIDDEN"))


class RegistrationTokenTests(TestCase):
    def setUp(self) -> None:
        self.master = make_master({"registration_requires_token": True})
        now(self.master.store.add_registration_token("invited", uses_allowed=1))

    def register(self, name: str, token: str) -> Any:
        auth = {"type": "m.login.registration_token", "token": token}
        return self.master.request("POST", "register", application(name, auth=auth))

    def valid(self, token: str) -> bool:
        path = f"/_matrix/client/v1/register/m.login.registration_token/validity?token={token}"
        valid: bool = self.master.ok("GET", path)["valid"]
        return valid

    def test_a_token_is_needed(self) -> None:
        answer = self.master.request("POST", "register", application(auth=DUMMY))
        self.assertEqual(answer.status, 401)
        self.assertEqual(answer.json["flows"], [{"stages": ["m.login.registration_token"]}])
        self.assertEqual(self.register("alice", "wrong").json["errcode"], "M_UNAUTHORIZED")

    def test_a_token_is_used_up(self) -> None:
        self.assertTrue(self.valid("invited"))
        self.assertEqual(self.register("alice", "invited").status, 200)
        self.assertFalse(self.valid("invited"))
        self.assertEqual(self.register("bob", "invited").status, 401)

    def test_a_token_is_not_used_up_by_a_taken_name(self) -> None:
        now(self.master.store.add_registration_token("other"))
        self.register("alice", "other")
        self.assertEqual(self.register("alice", "invited").status, 400)
        self.assertTrue(self.valid("invited"))

    def test_a_token_expires(self) -> None:
        expires_ts = self.master.hs.clock.time_ms() + 1000
        now(self.master.store.add_registration_token("brief", expires_ts=expires_ts))
        self.assertTrue(self.valid("brief"))
        self.master.reactor.advance(1)
        self.assertFalse(self.valid("brief"))


class AvailableTests(TestCase):
    def setUp(self) -> None:
        self.master = make_master({"rc_registration": {"per_second": 0.1, "burst_count": 2}})

    def test_free_taken_and_bad_names(self) -> None:
        self.master.register("alice")
        self.assertEqual(
            self.master.ok("GET", "register/available?username=bob"), {"available": True}
        )
        for query, errcode in (
            ("?username=alice", "M_USER_IN_USE"),
            ("?username=a%20b", "M_INVALID_USERNAME"),
            ("", "M_MISSING_PARAM"),
        ):
            answer = self.master.request("GET", f"register/available{query}")
            self.assertEqual((answer.status, answer.json["errcode"]), (400, errcode))

    def test_names_cannot_be_tried_by_the_thousand(self) -> None:
        statuses = [
            self.master.request("GET", f"register/available?username=u{number}").status
            for number in range(25)
        ]
        self.assertEqual(statuses, [200] * 20 + [429] * 5)

    def test_sessions_cannot_be_opened_by_the_thousand(self) -> None:
        statuses = [self.master.request("POST", "register", {}).status for _ in range(22)]
        self.assertEqual(statuses, [401] * 20 + [429] * 2)
