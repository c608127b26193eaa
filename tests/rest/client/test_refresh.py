"""Sessions that are refreshed: how tokens follow each other, and what ends them."""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.trial.unittest import TestCase

from synapse_lite.app.kinds.client_reader import CLIENT_READER
from synapse_lite.handlers.access_tokens import REFRESH_PREFIX, make_token
from synapse_lite.handlers.token_expiry import TokenExpiry
from synapse_lite.replication.token_confirmation import TokenConfirmation
from synapse_lite.storage.refresh_tokens import SUPERSEDED_KEPT_MS
from tests.harness.homeserver import Server, make_master, make_worker, now

PASSWORD = "secret password"
FIVE_MINUTES = 300


class RefreshCase(TestCase):
    overrides: ClassVar[dict[str, Any]] = {}

    def setUp(self) -> None:
        self.master = make_master(self.overrides)
        self.master.register("alice")

    def log_in(self, **fields: Any) -> Any:
        body = {"type": "m.login.password", "user": "alice", "password": PASSWORD, **fields}
        return self.master.ok("POST", "login", {"refresh_token": True, **body})

    def post(self, token: Any) -> Any:
        return self.master.request("POST", "refresh", {"refresh_token": token})

    def refresh(self, tokens: Any) -> Any:
        answer = self.post(tokens["refresh_token"])
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json

    def refused(self, tokens: Any, *, softly: bool = False) -> None:
        answer = self.post(tokens["refresh_token"])
        self.assertEqual((answer.status, answer.json["errcode"]), (401, "M_UNKNOWN_TOKEN"))
        self.assertIs(answer.json["soft_logout"], softly)

    def use(self, tokens: Any, server: Server | None = None) -> Any:
        """200, or whether the session lives on ("soft") or is gone ("hard")."""
        server = server or self.master
        answer = server.request("GET", "account/whoami", access_token=tokens["access_token"])
        if answer.status == 200:
            return 200
        self.assertEqual((answer.status, answer.json["errcode"]), (401, "M_UNKNOWN_TOKEN"))
        return "soft" if answer.json["soft_logout"] else "hard"

    def rows(self, table: str) -> list[Any]:
        found: list[Any] = now(
            self.master.db.read("t", lambda txn: txn.query(f"SELECT * FROM {table}"))
        )
        return found


class RefreshTests(RefreshCase):
    def test_only_who_asks_gets_a_refresh_token(self) -> None:
        plain = self.log_in(refresh_token=False)
        self.assertNotIn("refresh_token", plain)
        self.assertNotIn("expires_in_ms", plain)
        self.assertEqual(self.log_in()["expires_in_ms"], FIVE_MINUTES * 1000)

    def test_registration_gives_one_too(self) -> None:
        auth = {"type": "m.login.dummy"}
        body = {"username": "bob", "password": PASSWORD, "refresh_token": True, "auth": auth}
        tokens = self.master.ok("POST", "register", body)
        self.assertEqual(self.use(self.refresh(tokens)), 200)

    def test_an_expired_access_token_is_refreshed(self) -> None:
        tokens = self.log_in()
        self.assertEqual(self.use(tokens), 200)
        self.master.reactor.advance(FIVE_MINUTES)
        self.assertEqual(self.use(tokens), "soft")
        fresh = self.refresh(tokens)
        self.assertEqual(fresh["expires_in_ms"], FIVE_MINUTES * 1000)
        self.assertEqual(self.use(fresh), 200)

    def test_the_device_stays(self) -> None:
        tokens = self.log_in(device_id="PHONE")
        fresh = self.refresh(tokens)
        me = self.master.ok("GET", "account/whoami", None, fresh["access_token"])
        self.assertEqual(me["device_id"], "PHONE")

    def test_a_lost_answer_is_made_up_for_until_the_new_access_token_is_used(self) -> None:
        tokens = self.log_in()
        self.refresh(tokens)  # the client never hears of this
        heard = self.refresh(tokens)
        self.assertEqual(self.use(tokens), 200)
        self.assertEqual(self.use(heard), 200)
        self.refused(tokens)
        self.assertEqual(self.use(tokens), "soft")
        self.assertEqual(self.use(self.refresh(heard)), 200)

    def test_the_old_token_ends_when_the_new_refresh_token_is_used(self) -> None:
        tokens = self.log_in()
        second = self.refresh(tokens)
        third = self.refresh(second)
        self.refused(tokens)
        self.assertEqual(self.use(third), 200)
        self.refused(second)

    def test_of_several_answers_any_will_do_and_the_others_end(self) -> None:
        tokens = self.log_in()
        answers = [self.refresh(tokens) for _ in range(3)]
        self.assertEqual(self.use(answers[1]), 200)
        for other in (answers[0], answers[2]):
            self.refused(other)
            self.assertEqual(self.use(other), "soft")

    def test_unused_successors_are_bounded(self) -> None:
        tokens = self.log_in()
        for _ in range(10):
            self.refresh(tokens)
            self.master.reactor.advance(1)
        self.assertEqual(len(self.rows("refresh_tokens")), 4)

    def test_tokens_are_stored_as_hashes(self) -> None:
        tokens = self.log_in()
        fresh = self.refresh(tokens)
        stored = str(self.rows("refresh_tokens")) + str(self.rows("access_tokens"))
        for answer in (tokens, fresh):
            self.assertNotIn(answer["refresh_token"], stored)
            self.assertNotIn(answer["access_token"], stored)

    def test_the_two_kinds_do_not_stand_for_each_other(self) -> None:
        tokens = self.log_in()
        swapped = {"access_token": tokens["refresh_token"], "refresh_token": tokens["access_token"]}
        self.assertEqual(self.use(swapped), "hard")
        self.refused(swapped)

    def test_bad_requests(self) -> None:
        for body, errcode in (
            ({}, "M_MISSING_PARAM"),
            ({"refresh_token": 1}, "M_BAD_JSON"),
            ({"refresh_token": "x" * 2000}, "M_INVALID_PARAM"),
        ):
            answer = self.master.request("POST", "refresh", body)
            self.assertEqual((answer.status, answer.json["errcode"]), (400, errcode))
        for token in ("x", make_token(REFRESH_PREFIX)):
            self.refused({"refresh_token": token})

    def test_an_invented_token_costs_no_query(self) -> None:
        before = self.master.db.counts.transactions
        self.refused({"refresh_token": make_token(REFRESH_PREFIX)[:-1] + "?"})
        self.assertEqual(self.master.db.counts.transactions, before)

    def test_a_used_token_costs_nothing_once_it_is_known(self) -> None:
        fresh = self.refresh(self.log_in())
        self.use(fresh)
        self.use(fresh)
        before = self.master.db.counts.transactions
        self.assertEqual(self.use(fresh), 200)
        self.assertEqual(self.master.db.counts.transactions, before)

    def test_superseded_access_tokens_are_forgotten_after_a_while(self) -> None:
        old = self.log_in(device_id="PHONE")
        fresh = self.refresh(old)
        self.use(fresh)
        self.master.reactor.advance(SUPERSEDED_KEPT_MS / 1000 + 1)
        now(self.master.hs.part(TokenExpiry).forget())
        self.assertEqual(self.use(old), "hard")
        self.assertEqual(self.use(fresh), "soft")
        self.assertEqual(self.use(self.refresh(fresh)), 200)


class EndOfSessionTests(RefreshCase):
    def test_logging_out(self) -> None:
        tokens = self.log_in()
        self.master.ok("POST", "logout", {}, tokens["access_token"])
        self.refused(tokens)
        self.assertEqual(self.use(tokens), "hard")

    def test_logging_out_with_a_token_that_nobody_has_used_yet(self) -> None:
        tokens = self.log_in()
        fresh = self.refresh(tokens)
        self.master.ok("POST", "logout", {}, fresh["access_token"])
        self.refused(tokens)
        self.refused(fresh)
        self.assertEqual(self.rows("refresh_tokens"), [])

    def test_logging_out_everywhere(self) -> None:
        tokens, other = self.log_in(), self.log_in()
        self.master.ok("POST", "logout/all", {}, tokens["access_token"])
        self.refused(other)

    def test_deleting_the_device(self) -> None:
        tokens, phone = self.log_in(), self.log_in(device_id="PHONE")
        auth = {"type": "m.login.password", "user": "alice", "password": PASSWORD}
        self.master.ok("DELETE", "devices/PHONE", {"auth": auth}, tokens["access_token"])
        self.refused(phone)
        self.refresh(tokens)

    def test_a_new_password_ends_other_sessions(self) -> None:
        mine, other = self.log_in(), self.log_in()
        auth = {"type": "m.login.password", "user": "alice", "password": PASSWORD}
        body = {"new_password": "another password", "auth": auth}
        self.master.ok("POST", "account/password", body, mine["access_token"])
        self.refused(other)
        self.assertEqual(self.use(self.refresh(mine)), 200)

    def test_deactivation(self) -> None:
        tokens = self.log_in()
        auth = {"type": "m.login.password", "user": "alice", "password": PASSWORD}
        self.master.ok("POST", "account/deactivate", {"auth": auth}, tokens["access_token"])
        self.refused(tokens)

    def test_logging_in_again_on_the_device(self) -> None:
        tokens = self.log_in(device_id="PHONE")
        again = self.log_in(device_id="PHONE")
        self.refused(tokens)
        self.refresh(again)

    def test_a_locked_account_is_not_refreshed(self) -> None:
        tokens = self.log_in()
        now(self.master.store.set_locked("@alice:test", True))
        answer = self.post(tokens["refresh_token"])
        self.assertEqual((answer.status, answer.json["errcode"]), (401, "M_USER_LOCKED"))
        self.assertTrue(answer.json["soft_logout"])
        now(self.master.store.set_locked("@alice:test", False))
        self.refresh(tokens)


class LifetimeTests(RefreshCase):
    overrides: ClassVar[dict[str, Any]] = {
        "session_lifetime": "1h",
        "refreshable_access_token_lifetime": "10m",
        "refresh_token_lifetime": "30m",
        "nonrefreshable_access_token_lifetime": "20m",
    }

    def test_an_unused_refresh_token_expires_softly(self) -> None:
        tokens = self.log_in(device_id="PHONE")
        self.assertEqual(tokens["expires_in_ms"], 600_000)
        self.master.reactor.advance(1800)
        self.refused(tokens, softly=True)
        self.assertEqual(self.use(tokens), "soft")
        self.assertEqual(self.use(self.log_in(device_id="PHONE")), 200)

    def test_the_session_ends_however_often_it_is_refreshed(self) -> None:
        tokens = self.log_in()
        for _ in range(2):
            self.master.reactor.advance(1700)
            tokens = self.refresh(tokens)
        self.assertEqual(tokens["expires_in_ms"], 200_000)
        self.master.reactor.advance(200)
        self.assertEqual(self.use(tokens), "soft")
        self.refused(tokens, softly=True)

    def test_clients_that_do_not_refresh_log_in_again(self) -> None:
        tokens = self.log_in(refresh_token=False)
        self.assertEqual(tokens["expires_in_ms"], 1_200_000)
        self.master.reactor.advance(1200)
        self.assertEqual(self.use(tokens), "soft")


class RefreshLimitTests(RefreshCase):
    overrides: ClassVar[dict[str, Any]] = {"rc_refresh": {"per_second": 0.1, "burst_count": 2}}

    def test_a_session_is_refreshed_so_often(self) -> None:
        tokens, other = self.log_in(), self.log_in()
        statuses = [self.post(tokens["refresh_token"]).status for _ in range(3)]
        self.assertEqual(statuses, [200, 200, 429])
        self.assertEqual(self.post(other["refresh_token"]).status, 200)


class WorkerTests(RefreshCase):
    def setUp(self) -> None:
        super().setUp()
        self.worker = make_worker(CLIENT_READER, self.master)
        self.confirmed: list[int] = []
        case, target = self, self.master.hs.part(TokenConfirmation)

        class Wire(TokenConfirmation):
            async def confirm(self, refresh_token_id: int) -> None:
                case.confirmed.append(refresh_token_id)
                await target.confirm(refresh_token_id)

        self.worker.hs.provide(TokenConfirmation, Wire())

    def test_the_first_use_at_a_worker_revokes_the_old_token(self) -> None:
        tokens = self.log_in()
        fresh = self.refresh(tokens)
        self.assertEqual(self.use(fresh, self.worker), 200)
        self.refused(tokens)
        self.assertEqual(self.use(tokens, self.worker), "soft")

    def test_the_master_is_told_once(self) -> None:
        fresh = self.refresh(self.log_in())
        for _ in range(3):
            self.assertEqual(self.use(fresh, self.worker), 200)
        self.assertEqual(len(self.confirmed), 1)

    def test_refreshing_and_logging_out_reach_the_worker(self) -> None:
        tokens = self.log_in()
        self.assertEqual(self.use(tokens, self.worker), 200)
        fresh = self.refresh(tokens)
        self.assertEqual(self.use(fresh), 200)
        self.assertEqual(self.use(tokens, self.worker), "soft")
        self.assertEqual(self.use(fresh, self.worker), 200)
        self.assertEqual(self.confirmed, [])
        self.master.ok("POST", "logout", {}, fresh["access_token"])
        self.assertEqual(self.use(fresh, self.worker), "hard")
