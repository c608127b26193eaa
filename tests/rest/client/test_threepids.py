"""Email addresses and phone numbers where none can be confirmed."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import TestCase

from synapse_lite.types.threepids import Threepid
from tests.harness.homeserver import make_master, now

PASSWORD = "secret password"
EMAIL = Threepid("email", "alice@example.com")
PHONE = Threepid("msisdn", "447700900001")
SESSION = {"client_secret": "s3cret", "sid": "17"}
ID_SERVER = {"id_server": "id.example.com", "id_access_token": "x"}


class ThreepidCase(TestCase):
    def setUp(self) -> None:
        self.master = make_master()
        self.alice = self.master.register("alice")
        self.bob = self.master.register("bob")

    def add(self, *threepids: Threepid) -> None:
        for threepid in threepids:
            added = now(self.master.store.add_threepid("@alice:test", threepid, 1_600_000_000_000))
            self.assertTrue(added)

    def listed(self) -> Any:
        return self.master.ok("GET", "account/3pid", None, self.alice)["threepids"]

    def refused(self, path: str, body: Any, status: int, errcode: str, **kwargs: Any) -> None:
        answer = self.master.request("POST", path, body, self.alice, **kwargs)
        self.assertEqual((answer.status, answer.json["errcode"]), (status, errcode), path)


class AccountTests(ThreepidCase):
    def test_an_account_has_none_at_first(self) -> None:
        self.assertEqual(self.listed(), [])

    def test_what_there_is_is_shown_and_can_be_deleted(self) -> None:
        self.add(EMAIL)
        moment = self.master.hs.clock.time_ms()
        expected = {
            "medium": "email",
            "address": "alice@example.com",
            "validated_at": 1_600_000_000_000,
            "added_at": moment,
        }
        self.assertEqual(self.listed(), [expected])
        body = {"medium": "email", "address": "Alice@Example.com"}
        for token in (self.bob, self.alice, self.alice):
            answer = self.master.ok("POST", "account/3pid/delete", body, token)
            self.assertEqual(answer, {"id_server_unbind_result": "no-support"})
            self.assertEqual(len(self.listed()), token == self.bob)

    def test_an_address_belongs_to_one_account(self) -> None:
        self.add(EMAIL)
        added = now(self.master.store.add_threepid("@bob:test", EMAIL, 1))
        self.assertFalse(added)
        self.assertEqual(len(self.listed()), 1)

    def test_deactivation_frees_it(self) -> None:
        self.add(EMAIL)
        now(self.master.store.deactivate_user("@alice:test", erase=False))
        self.assertIsNone(now(self.master.store.get_user_of_threepid(EMAIL)))

    def test_nothing_can_be_added(self) -> None:
        self.refused("account/3pid", {"three_pid_creds": SESSION}, 403, "M_THREEPID_AUTH_FAILED")
        credentials = {**SESSION, **ID_SERVER}
        for key in ("three_pid_creds", "threePidCreds"):
            self.refused(
                "account/3pid", {key: credentials}, 400, "M_SERVER_NOT_TRUSTED", judged=False
            )
        self.refused("account/3pid/bind", credentials, 400, "M_SERVER_NOT_TRUSTED", judged=False)

    def test_adding_asks_for_the_password_first(self) -> None:
        answer = self.master.request("POST", "account/3pid/add", SESSION, self.alice)
        self.assertEqual(answer.status, 401)
        self.assertEqual(answer.json["flows"], [{"stages": ["m.login.password"]}])
        auth = {"type": "m.login.password", "password": PASSWORD}
        self.refused(
            "account/3pid/add",
            {**SESSION, "auth": {**auth, "session": answer.json["session"]}},
            403,
            "M_THREEPID_AUTH_FAILED",
            judged=False,
        )

    def test_nothing_was_ever_bound(self) -> None:
        body = {"medium": "msisdn", "address": "447700900001", "id_server": "id.example.com"}
        answer = self.master.ok("POST", "account/3pid/unbind", body, self.alice)
        self.assertEqual(answer, {"id_server_unbind_result": "no-support"})

    def test_bad_requests(self) -> None:
        bad = {"sid": "1", "client_secret": "a b"}
        for path, body, errcode in (
            ("account/3pid", {}, "M_MISSING_PARAM"),
            ("account/3pid", {"three_pid_creds": []}, "M_BAD_JSON"),
            ("account/3pid", {"three_pid_creds": bad}, "M_INVALID_PARAM"),
            ("account/3pid/add", {"sid": "1"}, "M_MISSING_PARAM"),
            ("account/3pid/add", bad, "M_INVALID_PARAM"),
            ("account/3pid/bind", SESSION, "M_MISSING_PARAM"),
            ("account/3pid/delete", {"medium": "email"}, "M_MISSING_PARAM"),
            ("account/3pid/delete", {"medium": "x", "address": "a@b"}, "M_INVALID_PARAM"),
            ("account/3pid/unbind", {"medium": "email", "address": "a"}, "M_INVALID_PARAM"),
        ):
            self.refused(path, body, 400, errcode, judged=False)


class RequestTokenTests(ThreepidCase):
    def ask(self, where: str, medium: str, **fields: Any) -> tuple[int, str]:
        body: dict[str, Any] = {"client_secret": "s3cret", "send_attempt": 1}
        if medium == "email":
            body["email"] = "Alice@example.com"
        else:
            body.update(country="GB", phone_number="+44 7700 900001")
        body = {key: value for key, value in {**body, **fields}.items() if value is not ...}
        answer = self.master.request("POST", f"{where}/{medium}/requestToken", body)
        return answer.status, answer.json["errcode"]

    def test_registering_tells_nobody_which_addresses_are_known(self) -> None:
        self.add(EMAIL, PHONE)
        for medium in ("email", "msisdn"):
            self.assertEqual(self.ask("register", medium), (403, "M_THREEPID_DENIED"))
            self.assertEqual(
                self.ask("register", medium, **ID_SERVER), (400, "M_SERVER_NOT_TRUSTED")
            )

    def test_adding(self) -> None:
        where = "account/3pid"
        for medium in ("email", "msisdn"):
            self.assertEqual(self.ask(where, medium), (400, "M_THREEPID_MEDIUM_NOT_SUPPORTED"))
            self.assertEqual(self.ask(where, medium, **ID_SERVER), (400, "M_SERVER_NOT_TRUSTED"))
        self.add(EMAIL, PHONE)
        for medium in ("email", "msisdn"):
            self.assertEqual(self.ask(where, medium), (400, "M_THREEPID_IN_USE"))

    def test_a_forgotten_password(self) -> None:
        where = "account/password"
        for medium in ("email", "msisdn"):
            self.assertEqual(self.ask(where, medium), (400, "M_THREEPID_NOT_FOUND"))
        self.add(EMAIL, PHONE)
        for medium in ("email", "msisdn"):
            self.assertEqual(self.ask(where, medium), (403, "M_THREEPID_DENIED"))
            self.assertEqual(self.ask(where, medium, **ID_SERVER), (400, "M_SERVER_NOT_TRUSTED"))

    def test_a_national_number_is_valid(self) -> None:
        number = {"phone_number": "07700 900001"}
        self.assertEqual(self.ask("register", "msisdn", **number), (403, "M_THREEPID_DENIED"))

    def test_bad_requests(self) -> None:
        for medium, fields, errcode in (
            ("email", {"client_secret": ...}, "M_MISSING_PARAM"),
            ("email", {"client_secret": "ä"}, "M_INVALID_PARAM"),
            ("email", {"client_secret": "x" * 256}, "M_INVALID_PARAM"),
            ("email", {"send_attempt": "1"}, "M_BAD_JSON"),
            ("email", {"email": "alice"}, "M_INVALID_PARAM"),
            ("email", {"email": ...}, "M_MISSING_PARAM"),
            ("email", {"next_link": 1}, "M_BAD_JSON"),
            ("msisdn", {"country": "gb"}, "M_INVALID_PARAM"),
            ("msisdn", {"phone_number": "call me"}, "M_INVALID_PARAM"),
        ):
            self.assertEqual(self.ask("register", medium, **fields), (400, errcode), fields)


class LoginTests(ThreepidCase):
    def log_in(self, **fields: Any) -> tuple[int, str]:
        body = {"type": "m.login.password", "password": PASSWORD, **fields}
        answer = self.master.request("POST", "login", body)
        return answer.status, answer.json.get("user_id") or answer.json["errcode"]

    def test_every_form_of_an_address(self) -> None:
        self.add(EMAIL, PHONE)
        alice = (200, "@alice:test")
        email = {"medium": "email", "address": "ALICE@example.com"}
        phone = {"medium": "msisdn", "address": "447700900001"}
        for threepid in (email, phone):
            identifier = {"type": "m.id.thirdparty", **threepid}
            self.assertEqual(self.log_in(identifier=identifier), alice)
        for key in ("phone", "number"):
            number = {"type": "m.id.phone", "country": "GB", key: "+44 7700 900001"}
            self.assertEqual(self.log_in(identifier=number), alice)
        self.assertEqual(self.log_in(**email), alice)

    def test_unknown_addresses_and_wrong_passwords_are_answered_alike(self) -> None:
        self.add(EMAIL)
        for medium, address in (("email", "x@example.com"), ("email", "x"), ("x", "y")):
            identifier = {"type": "m.id.thirdparty", "medium": medium, "address": address}
            self.assertEqual(self.log_in(identifier=identifier), (403, "M_FORBIDDEN"))
        identifier = {"type": "m.id.thirdparty", "medium": "email", "address": EMAIL.address}
        answer = self.log_in(identifier=identifier, password="wrong")
        self.assertEqual(answer, (403, "M_FORBIDDEN"))

    def test_interactive_authentication_knows_addresses_too(self) -> None:
        self.add(EMAIL)
        identifier = {"type": "m.id.thirdparty", "medium": "email", "address": EMAIL.address}
        auth = {"type": "m.login.password", "identifier": identifier, "password": PASSWORD}
        body = {"new_password": "another one", "auth": auth}
        self.master.ok("POST", "account/password", body, self.alice)
