"""Tokens that prove to other services who a user is."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from synapse_lite.handlers.openid import LIFETIME_SECONDS
from synapse_lite.handlers.token_expiry import TokenExpiry
from synapse_lite.storage.access_tokens import hash_token
from tests.harness.homeserver import make_master, now

PATH = "user/@alice:test/openid/request_token"


class OpenIdTests(TestCase):
    def setUp(self) -> None:
        self.master = make_master()
        self.alice = self.master.register("alice")

    def owner(self, token: str) -> str | None:
        found: str | None = now(self.master.store.get_user_of_openid_token(hash_token(token)))
        return found

    def test_a_token_is_good_for_an_hour_and_nothing_else(self) -> None:
        answer = self.master.ok("POST", PATH, {}, self.alice)
        token = answer.pop("access_token")
        expected = {"token_type": "Bearer", "matrix_server_name": "test", "expires_in": 3600}
        self.assertEqual(answer, expected)
        self.assertEqual(self.owner(token), "@alice:test")
        whoami = self.master.request("GET", "account/whoami", access_token=token)
        self.assertEqual(whoami.json["errcode"], "M_UNKNOWN_TOKEN")
        self.master.reactor.advance(LIFETIME_SECONDS)
        self.assertIsNone(self.owner(token))
        now(self.master.hs.part(TokenExpiry).forget())
        rows = now(self.master.db.read("t", lambda txn: txn.query("SELECT * FROM openid_tokens")))
        self.assertEqual(rows, [])

    def test_only_its_hash_is_stored(self) -> None:
        token = self.master.ok("POST", PATH, {}, self.alice)["access_token"]
        rows = now(self.master.db.read("t", lambda txn: txn.query("SELECT * FROM openid_tokens")))
        self.assertIn(hash_token(token), rows[0])
        self.assertNotIn(token, str(rows))

    def test_deactivation_ends_it(self) -> None:
        token = self.master.ok("POST", PATH, {}, self.alice)["access_token"]
        now(self.master.store.deactivate_user("@alice:test", erase=False))
        self.assertIsNone(self.owner(token))

    def test_not_for_others(self) -> None:
        answer = self.master.request("POST", PATH, {}, self.master.register("bob"))
        self.assertEqual((answer.status, answer.json["errcode"]), (403, "M_FORBIDDEN"))
        answer = self.master.request("POST", PATH, [], self.alice)
        self.assertEqual((answer.status, answer.json["errcode"]), (400, "M_BAD_JSON"))
