"""Logging in and out: forms of identifiers, devices, limits, accounts that are shut."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import TestCase

from tests.harness.homeserver import Master, make_master, now

PASSWORD = "secret password"


def password_login(user: str = "alice", password: str = PASSWORD, **fields: Any) -> dict[str, Any]:
    return {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": user},
        "password": password,
        **fields,
    }


class LoginCase(TestCase):
    overrides: dict[str, Any] = {}

    def setUp(self) -> None:
        self.master: Master = make_master(self.overrides)
        self.token = self.master.register("alice")

    def post(self, body: Any, client_ip: str = "127.0.0.1") -> Any:
        return self.master.request("POST", "login", body, client_ip=client_ip)

    def log_in(self, **fields: Any) -> Any:
        answer = self.post(password_login(**fields))
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json

    def error(self, body: Any) -> tuple[int, str]:
        answer = self.post(body)
        return answer.status, answer.json["errcode"]

    def whoami(self, token: str) -> int:
        status: int = self.master.request("GET", "account/whoami", access_token=token).status
        return status


class LoginTests(LoginCase):
    def test_flows(self) -> None:
        self.assertEqual(self.master.ok("GET", "login"), {"flows": [{"type": "m.login.password"}]})

    def test_every_form_of_the_user(self) -> None:
        for user in ("alice", "@alice:test", "Alice"):
            self.assertEqual(self.log_in(user=user)["user_id"], "@alice:test")
        legacy = {"type": "m.login.password", "user": "alice", "password": PASSWORD}
        self.assertEqual(self.post(legacy).json["user_id"], "@alice:test")

    def test_wrong_password_and_unknown_user_are_answered_alike(self) -> None:
        wrong = self.post(password_login(password="wrong"))
        unknown = self.post(password_login(user="nobody"))
        foreign = self.post(password_login(user="@alice:elsewhere"))
        self.assertEqual(wrong.status, 403)
        self.assertEqual(wrong.json["errcode"], "M_FORBIDDEN")
        self.assertEqual(unknown.body, wrong.body)
        self.assertEqual(foreign.body, wrong.body)

    def test_third_party_identifiers_are_refused(self) -> None:
        for identifier in (
            {"type": "m.id.thirdparty", "medium": "email", "address": "a@example.com"},
            {"type": "m.id.phone", "country": "GB", "phone": "1"},
        ):
            body = {**password_login(), "identifier": identifier}
            self.assertEqual(self.error(body), (403, "M_FORBIDDEN"))

    def test_bad_requests(self) -> None:
        self.assertEqual(self.error({}), (400, "M_MISSING_PARAM"))
        self.assertEqual(self.error({"type": "m.login.token"}), (400, "M_UNKNOWN"))
        self.assertEqual(self.error({"type": "m.login.password"}), (400, "M_MISSING_PARAM"))
        self.assertEqual(
            self.error({**password_login(), "identifier": {"type": "x"}}), (400, "M_INVALID_PARAM")
        )
        self.assertEqual(self.error({**password_login(), "identifier": 1}), (400, "M_BAD_JSON"))
        self.assertEqual(self.error(password_login(password=1)), (400, "M_BAD_JSON"))

    def test_a_new_device_is_named(self) -> None:
        answer = self.log_in(device_id="PHONE", initial_device_display_name="Phone")
        self.assertEqual(answer["device_id"], "PHONE")
        device = self.master.ok("GET", "devices/PHONE", None, answer["access_token"])
        self.assertEqual(device["display_name"], "Phone")

    def test_a_known_device_keeps_its_name_and_loses_its_old_token(self) -> None:
        first = self.log_in(device_id="PHONE", initial_device_display_name="Phone")
        second = self.log_in(device_id="PHONE", initial_device_display_name="Other")
        self.assertEqual(self.whoami(first["access_token"]), 401)
        device = self.master.ok("GET", "devices/PHONE", None, second["access_token"])
        self.assertEqual(device["display_name"], "Phone")
        self.assertEqual(self.whoami(self.token), 200)

    def test_locked_account(self) -> None:
        now(self.master.store.set_locked("@alice:test", True))
        self.assertEqual(self.error(password_login()), (401, "M_USER_LOCKED"))
        self.assertEqual(self.error(password_login(password="wrong")), (403, "M_FORBIDDEN"))


class LogoutTests(LoginCase):
    def test_logout_ends_one_device(self) -> None:
        other = self.log_in(device_id="PHONE")["access_token"]
        self.assertEqual(self.master.ok("POST", "logout", {}, other), {})
        self.assertEqual(self.whoami(other), 401)
        self.assertEqual(self.whoami(self.token), 200)
        gone = self.master.request("GET", "devices/PHONE", access_token=self.token)
        self.assertEqual(gone.status, 404)

    def test_logout_all_ends_all(self) -> None:
        other = self.log_in()["access_token"]
        self.master.ok("POST", "logout/all", {}, other)
        self.assertEqual([self.whoami(other), self.whoami(self.token)], [401, 401])
        self.assertEqual(now(self.master.store.get_devices("@alice:test")), [])

    def test_logout_needs_a_token(self) -> None:
        answer = self.master.request("POST", "logout", {})
        self.assertEqual((answer.status, answer.json["errcode"]), (401, "M_MISSING_TOKEN"))
        answer = self.master.request("POST", "logout", {}, "nonsense")
        self.assertEqual((answer.status, answer.json["errcode"]), (401, "M_UNKNOWN_TOKEN"))

    def test_locked_accounts_may_log_out_and_nothing_else(self) -> None:
        now(self.master.store.set_locked("@alice:test", True))
        answer = self.master.request("GET", "account/whoami", access_token=self.token)
        self.assertEqual((answer.status, answer.json["errcode"]), (401, "M_USER_LOCKED"))
        self.assertTrue(answer.json["soft_logout"])
        self.assertEqual(self.master.ok("POST", "logout", {}, self.token), {})
        now(self.master.store.set_locked("@alice:test", False))
        self.assertEqual(self.whoami(self.token), 401)


class LoginLimitTests(LoginCase):
    overrides = {
        "rc_login": {
            "address": {"per_second": 0.1, "burst_count": 6},
            "account": {"per_second": 0.1, "burst_count": 3},
            "failed_attempts": {"per_second": 0.1, "burst_count": 2},
        }
    }

    def test_failed_attempts_block_also_the_right_password(self) -> None:
        for _ in range(2):
            self.assertEqual(self.post(password_login(password="wrong")).status, 403)
        limited = self.post(password_login())
        self.assertEqual((limited.status, limited.json["retry_after_ms"]), (429, 10_000))
        self.master.reactor.advance(10)
        self.assertEqual(self.post(password_login()).status, 200)

    def test_an_account_logs_in_so_often(self) -> None:
        statuses = [self.post(password_login()).status for _ in range(4)]
        self.assertEqual(statuses, [200, 200, 200, 429])

    def test_an_address_tries_so_often(self) -> None:
        statuses = [self.post(password_login(user=f"u{number}")).status for number in range(7)]
        self.assertEqual(statuses, [403] * 6 + [429])
        self.assertEqual(self.post(password_login(), client_ip="192.0.2.1").status, 200)


class BaseUrlTests(LoginCase):
    overrides = {"public_baseurl": "https://matrix.example.com/"}

    def test_clients_are_told_where_the_server_is(self) -> None:
        expected = {"m.homeserver": {"base_url": self.master.hs.config.server.public_baseurl}}
        self.assertEqual(self.log_in()["well_known"], expected)
        self.assertEqual(self.master.ok("GET", "/.well-known/matrix/client"), expected)


class NoPasswordsTests(LoginCase):
    overrides = {"password_config": {"enabled": False}}

    def test_passwords_are_neither_offered_nor_taken(self) -> None:
        self.assertEqual(self.master.ok("GET", "login"), {"flows": []})
        self.assertEqual(self.error(password_login()), (403, "M_FORBIDDEN"))
