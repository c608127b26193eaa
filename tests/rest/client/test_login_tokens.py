"""Letting another client in with a token (`m.login.token`)."""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.trial.unittest import TestCase

from synapse_lite.handlers.access_tokens import LOGIN_PREFIX, make_token
from synapse_lite.handlers.token_expiry import TokenExpiry
from synapse_lite.storage.access_tokens import hash_token
from tests.harness.homeserver import make_master, now

PASSWORD = "secret password"
GET_TOKEN = "/_matrix/client/v1/login/get_token"
AUTH = {"type": "m.login.password", "user": "alice", "password": PASSWORD}


class LoginTokenCase(TestCase):
    overrides: ClassVar[dict[str, Any]] = {}

    def setUp(self) -> None:
        options = {"login_via_existing_session": {"enabled": True}}
        self.master = make_master({**options, **self.overrides})
        self.alice = self.master.register("alice")

    def ask(self, body: Any, token: str | None = None) -> Any:
        return self.master.request("POST", GET_TOKEN, body, token or self.alice)

    def get_token(self) -> str:
        answer = self.ask({"auth": AUTH})
        self.assertEqual(answer.status, 200, answer.body)
        token: str = answer.json["login_token"]
        return token

    def log_in(self, token: Any, **fields: Any) -> Any:
        body = {"type": "m.login.token", "token": token, **fields}
        return self.master.request("POST", "login", body)

    def refused(self, token: str) -> None:
        answer = self.log_in(token)
        self.assertEqual((answer.status, answer.json["errcode"]), (403, "M_FORBIDDEN"))

    def capability(self) -> bool:
        answer = self.master.ok("GET", "capabilities", None, self.alice)
        enabled: bool = answer["capabilities"]["m.get_login_token"]["enabled"]
        return enabled


class LoginTokenTests(LoginTokenCase):
    def test_the_password_is_asked_for_every_time(self) -> None:
        for _ in range(2):
            answer = self.ask({})
            self.assertEqual(answer.status, 401)
            self.assertEqual(answer.json["flows"], [{"stages": ["m.login.password"]}])
            session = answer.json["session"]
            answer = self.ask({"auth": {**AUTH, "session": session}})
            self.assertEqual(answer.json["expires_in_ms"], 300_000)
            self.assertEqual(self.ask({"auth": {"session": session}}).status, 401)

    def test_a_token_logs_in_once(self) -> None:
        token = self.get_token()
        answer = self.log_in(token, device_id="PHONE", refresh_token=True)
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(answer.json["user_id"], "@alice:test")
        self.assertIn("refresh_token", answer.json)
        me = self.master.ok("GET", "account/whoami", None, answer.json["access_token"])
        self.assertEqual(me["device_id"], "PHONE")
        self.refused(token)

    def test_it_expires(self) -> None:
        token = self.get_token()
        self.master.reactor.advance(300)
        self.refused(token)
        now(self.master.hs.part(TokenExpiry).forget())
        left = now(self.master.db.read("t", lambda txn: txn.query("SELECT * FROM login_tokens")))
        self.assertEqual(left, [])

    def test_only_its_hash_is_stored(self) -> None:
        token = self.get_token()
        rows = now(self.master.db.read("t", lambda txn: txn.query("SELECT * FROM login_tokens")))
        self.assertIn(hash_token(token), rows[0])
        self.assertNotIn(token, str(rows))

    def test_unknown_and_misshapen_tokens(self) -> None:
        for token in ("x", make_token(LOGIN_PREFIX), self.alice):
            self.refused(token)
        missing = self.master.request("POST", "login", {"type": "m.login.token"})
        self.assertEqual(missing.json["errcode"], "M_MISSING_PARAM")
        self.assertEqual(self.log_in(1).json["errcode"], "M_BAD_JSON")

    def test_it_is_no_access_token(self) -> None:
        answer = self.master.request("GET", "account/whoami", access_token=self.get_token())
        self.assertEqual(answer.json["errcode"], "M_UNKNOWN_TOKEN")

    def test_logging_out_everywhere_and_deactivation_end_it(self) -> None:
        token = self.get_token()
        now(self.master.store.log_out_everywhere("@alice:test"))
        self.refused(token)

    def test_a_locked_account_does_not_use_it_up(self) -> None:
        token = self.get_token()
        now(self.master.store.set_locked("@alice:test", True))
        answer = self.log_in(token)
        self.assertEqual((answer.status, answer.json["errcode"]), (401, "M_USER_LOCKED"))
        now(self.master.store.set_locked("@alice:test", False))
        self.assertEqual(self.log_in(token).status, 200)

    def test_clients_can_see_that_it_is_offered(self) -> None:
        flows = self.master.ok("GET", "login")["flows"]
        self.assertIn({"type": "m.login.token", "get_login_token": True}, flows)
        self.assertTrue(self.capability())


class WithoutApprovalTests(LoginTokenCase):
    overrides: ClassVar[dict[str, Any]] = {
        "login_via_existing_session": {
            "enabled": True,
            "require_ui_auth": False,
            "token_timeout": "1m",
        },
        "rc_login": {"token": {"per_second": 0.01, "burst_count": 1}},
    }

    def test_no_password_is_asked_for_and_tokens_are_rare(self) -> None:
        answer = self.ask({})
        self.assertEqual(answer.json["expires_in_ms"], 60_000)
        self.assertEqual(self.log_in(answer.json["login_token"]).status, 200)
        self.assertEqual(self.ask({}).status, 429)
        self.master.reactor.advance(100)
        self.assertEqual(self.ask({}).status, 200)


class WithoutPasswordsTests(LoginTokenCase):
    overrides: ClassVar[dict[str, Any]] = {"password_config": {"enabled": False}}

    def test_what_nobody_could_approve_is_not_offered(self) -> None:
        self.assertFalse(self.capability())
        answer = self.ask({})
        self.assertEqual((answer.status, answer.json["errcode"]), (404, "M_UNRECOGNIZED"))


class NotEnabledTests(LoginTokenCase):
    overrides: ClassVar[dict[str, Any]] = {"login_via_existing_session": {}}

    def test_by_default_there_are_none(self) -> None:
        answer = self.ask({"auth": AUTH})
        self.assertEqual((answer.status, answer.json["errcode"]), (404, "M_UNRECOGNIZED"))
        self.assertEqual(self.log_in("x").json["errcode"], "M_UNKNOWN")
        self.assertFalse(self.capability())
        self.assertEqual(len(self.master.ok("GET", "login")["flows"]), 1)
