"""First uses of refreshed tokens on their way from a worker to the master."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from synapse_lite.http.site import build_site
from synapse_lite.replication.token_confirmation import (
    SERVLETS,
    TokenConfirmation,
    WorkerTokenConfirmation,
)
from tests.harness.http import make_request
from tests.http.network import Network
from tests.http.support import make_hs
from tests.replication.support import LISTENER

PATH = "/_synapse/replication/confirm_refresh_token"
SECRET = "a secret"


class Recording(TokenConfirmation):
    def __init__(self) -> None:
        self.confirmed: list[int] = []

    async def confirm(self, refresh_token_id: int) -> None:
        self.confirmed.append(refresh_token_id)


class TokenConfirmationTests(TestCase):
    def setUp(self) -> None:
        self.network = Network()
        hs = make_hs(self.network.reactor, worker_replication_secret=SECRET)
        self.master = Recording()
        hs.provide(TokenConfirmation, self.master)
        self.site = build_site(hs, LISTENER, SERVLETS)
        self.far = make_hs(self.network.reactor, worker_replication_secret=SECRET).part(
            WorkerTokenConfirmation
        )

    def test_the_master_hears_of_it(self) -> None:
        self.network.servers["127.0.0.1", 9093] = self.site
        self.network.run(lambda: self.far.confirm(2**53 - 1))
        self.assertEqual(self.master.confirmed, [2**53 - 1])

    def test_a_master_that_is_away_keeps_nobody_from_reading(self) -> None:
        self.network.run(lambda: self.far.confirm(17), seconds=10)
        self.assertEqual(self.master.confirmed, [])

    def test_needs_the_secret(self) -> None:
        answer = make_request(self.site, "POST", PATH, {"refresh_token_id": 1})
        self.assertEqual(answer.status, 401)
        answer = make_request(self.site, "POST", PATH, {"refresh_token_id": "1"}, SECRET)
        self.assertEqual((answer.status, answer.json["errcode"]), (400, "M_BAD_JSON"))
        self.assertEqual(self.master.confirmed, [])
