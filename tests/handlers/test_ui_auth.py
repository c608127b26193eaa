"""User-interactive authentication: stages in order, bound to one request, across restarts."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import TestCase

from synapse_lite.api.errors import BadJsonError, ForbiddenError, InteractiveAuthError
from synapse_lite.handlers.ui_auth import Approval, Operation, UiAuthHandler
from synapse_lite.storage.ui_auth import SESSION_LIFETIME_MS
from tests.harness.homeserver import make_master, now

PASSWORD = "m.login.password"
DUMMY = "m.login.dummy"
PASSWORD_STAGE = {"type": PASSWORD, "user": "alice", "password": "secret password"}
DUMMY_STAGE = {"type": DUMMY}


class UiAuthTests(TestCase):
    def setUp(self) -> None:
        self.master = make_master()
        self.master.register("alice")
        self.handler = self.master.hs.part(UiAuthHandler)
        self.operation = Operation("explode", ((PASSWORD, DUMMY),), "@alice:test")

    def approve(self, body: dict[str, Any], operation: Operation | None = None) -> Approval:
        return now(self.handler.approve(operation or self.operation, body))

    def asked(self, body: dict[str, Any], operation: Operation | None = None) -> dict[str, Any]:
        """What the client is told to do next."""
        with self.assertRaises(InteractiveAuthError) as raised:
            self.approve(body, operation)
        self.assertEqual(raised.exception.status, 401)
        return raised.exception.to_json()

    def first_stage(self, **body: Any) -> str:
        """Do the first of two stages. Returns the session."""
        asked = self.asked({**body, "auth": PASSWORD_STAGE})
        self.assertEqual(asked["completed"], [PASSWORD])
        self.assertNotIn("errcode", asked)
        session: str = asked["session"]
        return session

    def last_stage(self, session: str, **body: Any) -> Approval:
        return self.approve({**body, "auth": {**DUMMY_STAGE, "session": session}})

    def test_two_stages(self) -> None:
        approval = self.last_stage(self.first_stage())
        self.assertEqual(approval.results, {PASSWORD: "@alice:test", DUMMY: True})

    def test_stages_out_of_order(self) -> None:
        asked = self.asked({"auth": DUMMY_STAGE})
        self.assertEqual(asked["errcode"], "M_UNRECOGNIZED")
        self.assertNotIn("completed", asked)
        unknown = self.asked({"auth": {"type": "m.login.sso"}})
        self.assertEqual(unknown["errcode"], "M_UNRECOGNIZED")

    def test_a_completed_stage_is_not_tried_again(self) -> None:
        session = self.first_stage()
        wrong = {**PASSWORD_STAGE, "password": "wrong", "session": session}
        asked = self.asked({"auth": wrong})
        self.assertEqual((asked["completed"], asked["session"]), ([PASSWORD], session))
        self.assertNotIn("errcode", asked)

    def test_asking_with_the_session_alone(self) -> None:
        session = self.first_stage()
        self.assertEqual(self.asked({"auth": {"session": session}})["completed"], [PASSWORD])

    def test_an_approval_is_for_the_request_that_the_first_stage_came_with(self) -> None:
        session = self.first_stage(target="barn")
        with self.assertRaises(ForbiddenError):
            self.last_stage(session, target="house")
        self.last_stage(session, target="barn")

    def test_a_session_is_for_one_operation_and_one_user(self) -> None:
        session = self.first_stage()
        for other in (
            Operation("implode", self.operation.flows, "@alice:test"),
            Operation("explode", self.operation.flows, "@bob:test"),
        ):
            with self.assertRaises(ForbiddenError):
                self.approve({"auth": {**DUMMY_STAGE, "session": session}}, other)

    def test_sessions_survive_a_restart(self) -> None:
        session = self.first_stage()
        self.handler = UiAuthHandler(self.master.hs)
        self.last_stage(session)

    def test_sessions_end(self) -> None:
        session = self.first_stage()
        now(self.handler.finish(self.last_stage(session)))
        asked = self.asked({"auth": {"session": session}})
        self.assertNotEqual(asked["session"], session)
        self.assertEqual(asked["errcode"], "M_UNKNOWN")

    def test_sessions_expire_and_are_forgotten(self) -> None:
        now(self.handler.start())
        self.addCleanup(lambda: now(self.handler.stop()))
        session = self.first_stage()
        self.master.reactor.advance(SESSION_LIFETIME_MS / 1000)
        self.assertNotEqual(self.asked({"auth": {"session": session}})["session"], session)
        self.master.reactor.advance(3600)
        for table in ("ui_auth_stages", "ui_auth_sessions"):
            left = now(
                self.master.db.read(
                    "left",
                    lambda txn, table=table: txn.query(
                        f"SELECT 1 FROM {table} WHERE session_id = ?", (session,)
                    ),
                )
            )
            self.assertEqual(left, [])

    def test_one_of_several_flows(self) -> None:
        operation = Operation("choose", ((PASSWORD,), (DUMMY,)), "@alice:test")
        self.assertEqual(self.approve({"auth": DUMMY_STAGE}, operation).results, {DUMMY: True})
        approval = self.approve({"auth": PASSWORD_STAGE}, operation)
        self.assertEqual(list(approval.results), [PASSWORD])

    def test_misshapen_auth(self) -> None:
        for auth in ("x", {"session": 1}, {"type": 1}):
            with self.assertRaises(BadJsonError):
                self.approve({"auth": auth})
        self.assertEqual(self.asked({"auth": {"type": PASSWORD}})["errcode"], "M_MISSING_PARAM")

    def test_the_database_holds_no_password(self) -> None:
        self.first_stage(new_password="very secret")
        rows = now(
            self.master.db.read(
                "rows",
                lambda txn: [
                    txn.query("SELECT * FROM ui_auth_sessions"),
                    txn.query("SELECT * FROM ui_auth_stages"),
                ],
            )
        )
        self.assertNotIn("secret", str(rows))
