"""Stages of user-interactive authentication completed on a web page."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import urlencode

from twisted.trial.unittest import TestCase

from tests.harness.homeserver import make_master, now

PASSWORD = "secret password"
GET_TOKEN = "/_matrix/client/v1/login/get_token"


class FallbackCase(TestCase):
    overrides: ClassVar[dict[str, Any]] = {}

    def setUp(self) -> None:
        self.master = make_master(
            {"login_via_existing_session": {"enabled": True}, **self.overrides}
        )
        self.alice = self.master.register("alice")

    def path(self, stage: str, session: str) -> str:
        return f"auth/{stage}/fallback/web?session={session}"

    def show(self, stage: str, session: str) -> Any:
        return self.master.request("GET", self.path(stage, session))

    def submit(self, stage: str, session: str, **fields: str) -> Any:
        return self.master.request(
            "POST",
            self.path(stage, session),
            urlencode(fields).encode(),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )

    def ask(self, session: str | None = None, **fields: Any) -> Any:
        body = fields if session is None else {**fields, "auth": {"session": session}}
        return self.master.request("POST", GET_TOKEN, body, self.alice)


class PasswordTests(FallbackCase):
    stage = "m.login.password"

    def test_the_page_asks_for_the_password(self) -> None:
        session = self.ask().json["session"]
        page = self.show(self.stage, session)
        self.assertEqual(page.status, 200)
        self.assertEqual(page.headers["content-type"], "text/html; charset=utf-8")
        policy = page.headers["content-security-policy"]
        self.assertIn("default-src 'none'", policy)
        self.assertIn(b'type="password"', page.body)
        self.assertNotIn(b"authDone", page.body)
        self.assertEqual(self.ask(session).status, 401)

    def test_the_client_goes_on_with_the_session_alone_and_once(self) -> None:
        session = self.ask().json["session"]
        done = self.submit(self.stage, session, password=PASSWORD)
        self.assertEqual(done.status, 200)
        self.assertIn(b"window.onAuthDone()", done.body)
        self.assertIn(b'window.opener.postMessage("authDone", "*")', done.body)
        self.assertIn(b"authDone", self.show(self.stage, session).body)
        self.assertEqual(self.ask(session).status, 200)
        self.assertEqual(self.ask(session).status, 401)

    def test_a_wrong_password_may_be_tried_again(self) -> None:
        session = self.ask().json["session"]
        wrong = self.submit(self.stage, session, password="wrong")
        self.assertNotIn(b"authDone", wrong.body)
        self.assertIn(b"Invalid username or password", wrong.body)
        self.assertIn(b'type="password"', wrong.body)
        self.assertEqual(self.ask(session).status, 401)
        self.assertIn(b"Missing parameter", self.submit(self.stage, session).body)
        self.assertEqual(self.ask(session).status, 401)
        self.submit(self.stage, session, password=PASSWORD)
        self.assertEqual(self.ask(session).status, 200)

    def test_nobody_else_can_approve(self) -> None:
        self.master.register("bob", "bob's password")
        session = self.ask().json["session"]
        answer = self.submit(self.stage, session, user="bob", password="bob's password")
        self.assertNotIn(b"authDone", answer.body)
        self.assertEqual(self.ask(session).status, 401)

    def test_another_stage_does_not_do(self) -> None:
        session = self.ask().json["session"]
        self.assertEqual(self.submit("m.login.dummy", session).status, 200)
        self.assertEqual(self.ask(session).status, 401)

    def test_unknown_stages_and_sessions(self) -> None:
        session = self.ask().json["session"]
        for ask in (self.show, self.submit):
            answer = ask("m.login.nothing", session)
            self.assertEqual((answer.status, answer.json["errcode"]), (404, "M_UNRECOGNIZED"))
            for unknown in ("", "x", "x" * 1000):
                answer = ask(self.stage, unknown)
                self.assertEqual((answer.status, answer.json["errcode"]), (400, "M_INVALID_PARAM"))
        missing = self.master.request("GET", "auth/m.login.password/fallback/web")
        self.assertEqual((missing.status, missing.json["errcode"]), (400, "M_MISSING_PARAM"))

    def test_what_comes_in_is_not_put_out(self) -> None:
        session = self.ask().json["session"]
        answer = self.submit(self.stage, session + "&x=%22%3E%3Cscript%3E", password="<script>")
        self.assertNotIn(b"<script>", answer.body)

    def test_a_form_that_is_none(self) -> None:
        session = self.ask().json["session"]
        for body in (b"\xff", b"&".join(b"a=b" for _ in range(50)), b"password=%ff"):
            answer = self.master.request("POST", self.path(self.stage, session), body)
            self.assertEqual(answer.status, 400)

    def test_the_page_is_limited_like_the_stage(self) -> None:
        limit = {"per_second": 0.1, "burst_count": 1}
        self.master = make_master({"rc_login": {"failed_attempts": limit}})
        self.alice = self.master.register("alice")
        session = self.master.request("POST", "account/deactivate", {}, self.alice).json["session"]
        answers = [self.submit(self.stage, session, password="x").body for _ in range(2)]
        self.assertIn(b"Invalid username or password", answers[0])
        self.assertIn(b"Too many requests", answers[1])
        self.master.reactor.advance(1)
        self.submit(self.stage, session, password=PASSWORD)
        body = {"auth": {"session": session}}
        answer = self.master.request("POST", "account/deactivate", body, self.alice)
        self.assertEqual(answer.status, 401)


class RegistrationTests(FallbackCase):
    def register(self, session: str | None = None) -> Any:
        body: dict[str, Any] = {"username": "bob", "password": PASSWORD}
        if session is not None:
            body["auth"] = {"session": session}
        return self.master.request("POST", "register", body)

    def test_dummy(self) -> None:
        session = self.register().json["session"]
        self.assertIn(b"<button", self.show("m.login.dummy", session).body)
        self.assertEqual(self.register(session).status, 401)
        self.submit("m.login.dummy", session)
        self.assertEqual(self.register(session).json["user_id"], "@bob:test")

    def test_registration_token(self) -> None:
        self.master = make_master({"registration_requires_token": True})
        now(self.master.store.add_registration_token("letmein", uses_allowed=1))
        session = self.register().json["session"]
        self.submit("m.login.registration_token", session, token="x")
        self.assertEqual(self.register(session).status, 401)
        self.submit("m.login.registration_token", session, token="letmein")
        self.assertEqual(self.register(session).json["user_id"], "@bob:test")
        self.assertFalse(now(self.master.store.is_registration_token_usable("letmein")))
