"""Access tokens: what they cost, when they end, in the master and beside it."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import TestCase

from synapse_lite.app.kinds.client_reader import CLIENT_READER
from synapse_lite.handlers.access_tokens import make_access_token, may_be_access_token
from synapse_lite.storage.access_tokens import hash_token
from tests.harness.homeserver import SameAnswerCase, Server, make_master, make_worker, now


class TokenFormTests(TestCase):
    def test_tokens_differ_and_are_known_by_their_form(self) -> None:
        tokens = {make_access_token() for _ in range(100)}
        self.assertEqual(len(tokens), 100)
        for token in tokens:
            self.assertTrue(token.startswith("slt_"))
            self.assertTrue(may_be_access_token(token))

    def test_a_changed_token_is_recognised(self) -> None:
        token = make_access_token()
        for index in range(4, len(token)):
            changed = token[:index] + ("x" if token[index] != "x" else "y") + token[index + 1 :]
            self.assertFalse(may_be_access_token(changed))
        self.assertFalse(may_be_access_token("slt_"))

    def test_tokens_of_an_earlier_server_are_looked_up(self) -> None:
        self.assertTrue(may_be_access_token("syt_YWxpY2U_abc_123456"))


class AuthenticationTests(TestCase):
    def setUp(self) -> None:
        self.master = make_master()
        self.token = self.master.register("alice")
        self.worker = make_worker(CLIENT_READER, self.master)

    def whoami(self, token: str | None, server: Server | None = None, **kwargs: Any) -> Any:
        server = server or self.master
        answer = server.request("GET", "account/whoami", access_token=token, **kwargs)
        return answer.json.get("errcode", answer.status)

    def transactions(self, server: Server, token: str) -> int:
        before = server.db.counts.transactions
        self.whoami(token, server)
        return server.db.counts.transactions - before

    def test_a_known_token_costs_no_transaction(self) -> None:
        self.whoami(self.token)
        self.assertEqual(self.transactions(self.master, self.token), 0)

    def test_a_worker_reads_a_token_once(self) -> None:
        self.assertEqual(self.transactions(self.worker, self.token), 2)
        self.assertEqual(self.transactions(self.worker, self.token), 0)

    def test_an_invented_token_of_our_form_costs_no_transaction(self) -> None:
        self.assertEqual(self.transactions(self.master, self.token[:-1] + "?"), 0)
        self.assertEqual(self.transactions(self.master, "x" * 5000), 0)

    def test_unknown_tokens_are_not_kept(self) -> None:
        for _ in range(2):
            self.assertEqual(self.whoami(make_access_token()), "M_UNKNOWN_TOKEN")
        self.assertEqual(len(self.master.store.get_access_token), 0)

    def test_missing_and_odd_tokens(self) -> None:
        self.assertEqual(self.whoami(None), "M_MISSING_TOKEN")
        self.assertEqual(self.whoami("syt_x"), "M_UNKNOWN_TOKEN")
        self.assertEqual(self.whoami(None, headers={"Authorization": "Basic x"}), "M_MISSING_TOKEN")

    def test_a_token_in_the_query(self) -> None:
        answer = self.master.request("GET", f"account/whoami?access_token={self.token}")
        self.assertEqual(answer.status, 200)

    def test_a_token_expires_softly(self) -> None:
        expires_ts = self.master.hs.clock.time_ms() + 1000
        token = make_access_token()
        now(self.master.store.add_access_token("@alice:test", token, expires_ts=expires_ts))
        for server in (self.master, self.worker):
            self.assertEqual(self.whoami(token, server), 200)
        self.master.reactor.advance(1)
        for server in (self.master, self.worker):
            answer = server.request("GET", "account/whoami", access_token=token)
            self.assertEqual(answer.status, 401)
            self.assertTrue(answer.json["soft_logout"])

    def test_logging_out_reaches_the_worker(self) -> None:
        self.assertEqual(self.whoami(self.token, self.worker), 200)
        self.master.ok("POST", "logout", {}, self.token)
        self.assertEqual(self.whoami(self.token, self.worker), "M_UNKNOWN_TOKEN")

    def test_locking_and_unlocking_reach_the_worker(self) -> None:
        self.assertEqual(self.whoami(self.token, self.worker), 200)
        now(self.master.store.set_locked("@alice:test", True))
        self.assertEqual(self.whoami(self.token, self.worker), "M_USER_LOCKED")
        now(self.master.store.set_locked("@alice:test", False))
        self.assertEqual(self.whoami(self.token, self.worker), 200)

    def test_many_tokens_at_once(self) -> None:
        tokens = [make_access_token() for _ in range(600)]
        for token in tokens:
            now(self.master.store.add_access_token("@alice:test", token))
        self.assertEqual(self.whoami(tokens[0], self.worker), 200)
        now(self.master.store.log_out_everywhere("@alice:test"))
        for server in (self.master, self.worker):
            self.assertEqual(self.whoami(tokens[0], server), "M_UNKNOWN_TOKEN")


class SameAccountTests(SameAnswerCase):
    def test_users_and_tokens(self) -> None:
        self.master = make_master()
        self.worker = make_worker(CLIENT_READER, self.master)
        self.assertIsNone(self.check("get_user", "@alice:test"))
        token = self.master.register("alice")
        self.assertFalse(self.check("get_user", "@alice:test").is_admin)
        self.check("get_access_token", hash_token(token))
        now(self.master.store.set_admin("@alice:test", True))
        self.assertTrue(self.check("get_user", "@alice:test").is_admin)
        now(self.master.store.deactivate_user("@alice:test", erase=False))
        self.assertTrue(self.check("get_user", "@alice:test").is_deactivated)
