"""Tests of requests between processes."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import TestCase

from synapse_lite.api.errors import ForbiddenError, LimitExceededError, MatrixError
from synapse_lite.api.urls import REPLICATION
from synapse_lite.http.client import InternalClient, UnreachableError
from synapse_lite.http.endpoint import Auth, Request, Response, Servlet, endpoint
from synapse_lite.util.json import JsonDict
from tests.http.network import Dropping, Network, Silent
from tests.http.support import make_hs, make_site

URI = "http://127.0.0.1:9093/_synapse/replication/call"


@endpoint("POST", REPLICATION, "/call", auth=Auth.REPLICATION)
class Call(Servlet):
    calls: list[JsonDict] = []
    result: Any = None

    async def answer(self, request: Request) -> Any:
        self.calls.append(request.json())
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


class InternalClientTests(TestCase):
    def setUp(self) -> None:
        Call.calls.clear()
        Call.result = {"done": True}
        self.network = Network()
        self.site = make_site(
            Call, reactor=self.network.reactor, worker_replication_secret="s3cret"
        )
        self.network.servers["127.0.0.1", 9093] = self.site
        self.client = self.make_client("s3cret")

    def make_client(self, secret: str) -> InternalClient:
        hs = make_hs(self.network.reactor, worker_replication_secret=secret)
        return InternalClient(hs)

    def post(self) -> Any:
        return self.network.run(lambda: self.client.post(URI, {"a": 1}))

    def test_answer(self) -> None:
        self.assertEqual(self.post(), {"done": True})
        self.assertEqual(Call.calls, [{"a": 1}])

    def test_connection_is_kept(self) -> None:
        for _ in range(3):
            self.post()
        self.assertEqual(len(self.network.connections), 1)

    def test_error_is_the_same_error(self) -> None:
        Call.result = ForbiddenError("You are not in the room", extra={"more": 1})
        error = self.assertRaises(ForbiddenError, self.post)
        self.assertEqual((error.status, error.message), (403, "You are not in the room"))
        self.assertEqual(error.extra, {"more": 1})

    def test_extra_fields_survive(self) -> None:
        Call.result = LimitExceededError(retry_after_ms=1234)
        error = self.assertRaises(LimitExceededError, self.post)
        self.assertEqual(error.extra["retry_after_ms"], 1234)

    def test_wrong_secret(self) -> None:
        self.client = self.make_client("wrong")
        error = self.assertRaises(MatrixError, self.post)
        self.assertEqual(error.errcode, "M_UNAUTHORIZED")
        self.assertEqual(Call.calls, [])

    def test_answer_that_is_not_json(self) -> None:
        Call.result = Response(200, b"<html>")
        self.assertRaises(UnreachableError, self.post)
        Call.result = Response(502, b"<html>")
        error = self.assertRaises(MatrixError, self.post)
        self.assertEqual((error.status, error.errcode), (502, "M_UNKNOWN"))

    def test_refused_connection_is_tried_again(self) -> None:
        site = self.network.servers.pop(("127.0.0.1", 9093))
        self.network.reactor.callLater(1, self.network.servers.update, {("127.0.0.1", 9093): site})
        result = self.network.run(lambda: self.client.post(URI, {"a": 1}), seconds=0.1)
        self.assertEqual(result, {"done": True})
        self.assertEqual(len(Call.calls), 1)
        self.assertGreater(len(self.network.connections), 2)

    def test_gives_up(self) -> None:
        self.network.servers.clear()
        error = self.assertRaises(
            UnreachableError,
            self.network.run,
            lambda: self.client.post(URI, {}),
            seconds=0.5,
        )
        self.assertEqual(error.status, 503)
        self.assertEqual(len(self.network.connections), 7)

    def test_lost_answer_is_asked_for_again_only_if_that_is_safe(self) -> None:
        self.network.servers["127.0.0.1", 9093] = Dropping()
        self.assertRaises(UnreachableError, self.post)
        self.assertEqual(len(self.network.connections), 1)
        self.network.connections.clear()
        self.assertRaises(
            UnreachableError,
            self.network.run,
            lambda: self.client.post(URI, {}, idempotent=True),
            seconds=0.5,
        )
        self.assertEqual(len(self.network.connections), 7)

    def test_time_out(self) -> None:
        ended: list[float] = []

        async def timed() -> None:
            try:
                await self.client.post(URI, {}, timeout_seconds=3, idempotent=True)
            finally:
                ended.append(self.network.reactor.seconds())

        self.network.servers["127.0.0.1", 9093] = Silent()
        error = self.assertRaises(UnreachableError, self.network.run, timed, seconds=0.5)
        self.assertIn("does not answer", error.message)
        self.assertEqual(ended, [3.0])
        self.assertEqual(len(self.network.connections), 1)
