"""Accounts by the shared secret, signed as existing tools sign."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

from twisted.trial.unittest import TestCase

from tests.harness.homeserver import make_master, now

PATH = "/_synapse/admin/v1/register"


def sign(secret: str, *parts: str) -> str:
    """The recipe of the tools, one update for each part."""
    mac = hmac.new(secret.encode(), digestmod=hashlib.sha1)
    mac.update(b"\x00".join(part.encode("utf8") for part in parts))
    return mac.hexdigest()


class SharedSecretTests(TestCase):
    def setUp(self) -> None:
        self.master = make_master({"enable_registration": False})

    def nonce(self) -> str:
        nonce: str = self.master.request("GET", PATH).json["nonce"]
        return nonce

    def post(self, body: Any) -> Any:
        return self.master.request("POST", PATH, body)

    def body(self, *, admin: bool = False, secret: str = "shared", **fields: Any) -> dict[str, Any]:
        body = {"nonce": self.nonce(), "username": "root", "password": "pass wörd", "admin": admin}
        body.update(fields)
        parts = [body["nonce"], body["username"], body["password"]]
        parts.append("admin" if admin else "notadmin")
        if "user_type" in body:
            parts.append(body["user_type"])
        return {**body, "mac": sign(secret, *parts)}

    def test_makes_an_administrator_although_registration_is_closed(self) -> None:
        answer = self.post(self.body(admin=True))
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(answer.json["user_id"], "@root:test")
        me = self.master.ok("GET", "account/whoami", None, answer.json["access_token"])
        self.assertEqual(me["device_id"], answer.json["device_id"])
        self.assertTrue(now(self.master.store.get_user("@root:test")).is_admin)

    def test_an_ordinary_user_with_a_type_and_a_name(self) -> None:
        answer = self.post(self.body(user_type="bot", displayname="Robot"))
        self.assertEqual(answer.status, 200, answer.body)
        user = now(self.master.store.get_user("@root:test"))
        self.assertEqual((user.is_admin, user.user_type), (False, "bot"))
        self.assertEqual(self.master.ok("GET", "profile/@root:test"), {"displayname": "Robot"})

    def test_an_ordinary_signature_makes_no_administrator(self) -> None:
        answer = self.post({**self.body(), "admin": True})
        self.assertEqual((answer.status, answer.json["error"]), (403, "HMAC incorrect"))

    def test_wrong_secret(self) -> None:
        self.assertEqual(self.post(self.body(secret="guess")).status, 403)

    def test_a_nonce_is_good_once(self) -> None:
        body = self.body()
        self.assertEqual(self.post(body).status, 200)
        again = self.post(body)
        self.assertEqual((again.status, again.json["error"]), (400, "unrecognised nonce"))

    def test_a_nonce_is_good_for_a_minute(self) -> None:
        body = self.body()
        self.master.reactor.advance(60)
        self.assertEqual(self.post(body).status, 400)

    def test_a_wrong_signature_uses_the_nonce_up(self) -> None:
        body = self.body()
        self.assertEqual(self.post({**body, "mac": "0" * 40}).status, 403)
        self.assertEqual(self.post(body).status, 400)

    def test_taken_names_and_missing_fields(self) -> None:
        self.post(self.body())
        taken = self.post(self.body())
        self.assertEqual((taken.status, taken.json["errcode"]), (400, "M_USER_IN_USE"))
        for key in ("nonce", "username", "password", "mac"):
            body = self.body()
            del body[key]
            self.assertEqual(self.post(body).json["errcode"], "M_MISSING_PARAM")
        self.assertEqual(self.post(self.body(username="a\0b")).json["errcode"], "M_INVALID_PARAM")

    def test_not_without_a_secret(self) -> None:
        self.master = make_master({"registration_shared_secret": None})
        self.assertEqual(self.master.request("GET", PATH).status, 400)
        body = {"nonce": "", "username": "a", "password": "b", "mac": sign("", "", "a", "b")}
        self.assertEqual(self.post(body).status, 400)
