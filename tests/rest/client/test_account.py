"""One's own account: password, deactivation, both with the password once more."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import TestCase

from synapse_lite.storage.devices import NewLogin
from tests.harness.homeserver import make_master, now

PASSWORD = "secret password"


def stage(password: str = PASSWORD, user: str = "alice", **fields: Any) -> dict[str, Any]:
    identifier = {"type": "m.id.user", "user": user}
    return {"type": "m.login.password", "identifier": identifier, "password": password, **fields}


class AccountCase(TestCase):
    def setUp(self) -> None:
        self.master = make_master()
        self.token = self.master.register("alice")
        self.other = self.log_in(PASSWORD).json["access_token"]

    def log_in(self, password: str) -> Any:
        body = {"type": "m.login.password", "user": "alice", "password": password}
        return self.master.request("POST", "login", body)

    def whoami(self, token: str) -> int:
        status: int = self.master.request("GET", "account/whoami", access_token=token).status
        return status

    def post(self, path: str, body: Any) -> Any:
        return self.master.request("POST", path, body, self.token)


class PasswordTests(AccountCase):
    def change(self, auth: Any = None, **fields: Any) -> Any:
        body = {"new_password": "new password", **fields}
        if auth is not None:
            body["auth"] = auth
        return self.post("account/password", body)

    def test_asks_for_the_password(self) -> None:
        answer = self.change()
        self.assertEqual(answer.status, 401)
        self.assertEqual(answer.json["flows"], [{"stages": ["m.login.password"]}])
        self.assertEqual(self.log_in("new password").status, 403)

    def test_wrong_password_may_be_tried_again_in_the_session(self) -> None:
        session = self.change().json["session"]
        wrong = self.change(stage("wrong", session=session))
        self.assertEqual((wrong.status, wrong.json["errcode"]), (401, "M_FORBIDDEN"))
        self.assertEqual(wrong.json["session"], session)
        self.assertEqual(self.change(stage(session=session)).status, 200)

    def test_changes_the_password_and_logs_others_out(self) -> None:
        self.assertEqual(self.change(stage()).status, 200)
        self.assertEqual(self.log_in(PASSWORD).status, 403)
        self.assertEqual(self.log_in("new password").status, 200)
        self.assertEqual([self.whoami(self.token), self.whoami(self.other)], [200, 401])

    def test_others_may_stay(self) -> None:
        self.assertEqual(self.change(stage(), logout_devices=False).status, 200)
        self.assertEqual(self.whoami(self.other), 200)

    def test_password_of_another_user_does_not_do(self) -> None:
        self.master.register("bob", "bob's password")
        answer = self.change(stage("bob's password", "bob"))
        self.assertEqual((answer.status, answer.json["errcode"]), (401, "M_FORBIDDEN"))

    def test_the_user_need_not_be_named(self) -> None:
        auth = {"type": "m.login.password", "password": PASSWORD}
        self.assertEqual(self.change(auth).status, 200)

    def test_bad_new_passwords(self) -> None:
        self.assertEqual(self.change(new_password="").json["errcode"], "M_WEAK_PASSWORD")
        self.assertEqual(self.change(new_password=3).json["errcode"], "M_BAD_JSON")
        missing = self.post("account/password", {"auth": stage()})
        self.assertEqual((missing.status, missing.json["errcode"]), (400, "M_MISSING_PARAM"))

    def test_needs_a_token(self) -> None:
        answer = self.master.request(
            "POST", "account/password", {"new_password": "new"}, judged=False
        )
        self.assertEqual((answer.status, answer.json["errcode"]), (401, "M_MISSING_TOKEN"))


class DeactivationTests(AccountCase):
    def deactivate(self, **fields: Any) -> Any:
        answer = self.post("account/deactivate", {"auth": stage(), **fields})
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json

    def test_asks_for_the_password(self) -> None:
        self.assertEqual(self.post("account/deactivate", {}).status, 401)
        self.assertEqual(self.whoami(self.token), 200)

    def test_ends_the_account(self) -> None:
        self.assertEqual(self.deactivate(), {"id_server_unbind_result": "success"})
        self.assertEqual([self.whoami(self.token), self.whoami(self.other)], [401, 401])
        login = self.log_in(PASSWORD)
        self.assertEqual((login.status, login.json["errcode"]), (403, "M_USER_DEACTIVATED"))
        self.assertIsNone(now(self.master.store.get_password_hash("@alice:test")))

    def test_the_name_stays_taken(self) -> None:
        self.deactivate()
        answer = self.master.request("GET", "register/available?username=alice")
        self.assertEqual(answer.json["errcode"], "M_USER_IN_USE")

    def test_the_profile_goes_only_with_erasure(self) -> None:
        self.deactivate()
        self.assertEqual(self.master.request("GET", "profile/@alice:test").status, 200)

    def test_erasure(self) -> None:
        self.deactivate(erase=True)
        self.assertEqual(self.master.request("GET", "profile/@alice:test").status, 404)

    def test_a_login_that_was_under_way_is_worth_nothing(self) -> None:
        """Its password was checked before the account ended."""
        self.deactivate()
        now(self.master.store.log_in_device("@alice:test", NewLogin("LATE", None, "late token")))
        answer = self.master.request("GET", "account/whoami", access_token="late token")
        self.assertEqual((answer.status, answer.json["errcode"]), (403, "M_USER_DEACTIVATED"))
