"""Tests of the routes that pass requests on, and of the marks of forwarded requests."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock as FakeReactor
from twisted.trial.unittest import TestCase

from synapse_lite.api.urls import ADMIN_V1, CLIENT, FEDERATION_V1, REPLICATION
from synapse_lite.config.listeners import Listener, ListenerResource
from synapse_lite.http.answering import Encoded
from synapse_lite.http.endpoint import Auth, Request, Servlet, endpoint
from synapse_lite.http.forwarding import HOP_HEADER, Forwarder, HopMarks
from synapse_lite.http.site import Site, build_site
from synapse_lite.util.json import JsonDict
from tests.harness.http import make_request, start_request
from tests.http.support import make_hs

V3 = "/_matrix/client/v3"


@endpoint("GET", CLIENT, "/things/{thing}", auth=Auth.NONE, served_by=("client_reader",))
class Thing(Servlet):
    async def answer(self, request: Request, thing: str) -> JsonDict:
        return {"thing": thing, "ip": request.client_ip}


@endpoint("PUT", CLIENT, "/things/{thing}", max_body_bytes=10)
class PutThing(Servlet):
    async def answer(self, request: Request, requester: Any, thing: str) -> JsonDict:
        raise AssertionError("This process does not serve it")


@endpoint("GET", CLIENT, "/things/special", auth=Auth.NONE)
class SpecialThing(Servlet):
    async def answer(self, request: Request) -> JsonDict:
        raise AssertionError("This process does not serve it")


@endpoint("GET", CLIENT, "/poll", cancellable=True, served_by=("synchrotron",))
class Poll(Servlet):
    async def answer(self, request: Request, requester: Any) -> JsonDict:
        raise AssertionError("This process does not serve it")


@endpoint("GET", FEDERATION_V1, "/version", auth=Auth.SERVER)
class ServerVersion(Servlet):
    async def answer(self, request: Request, origin: str) -> JsonDict:
        raise AssertionError("This process does not serve it")


@endpoint("GET", ADMIN_V1, "/secret", auth=Auth.ADMIN)
class AdminThing(Servlet):
    async def answer(self, request: Request, requester: Any) -> JsonDict:
        raise AssertionError("This process does not serve it")


@endpoint("POST", REPLICATION, "/call", auth=Auth.REPLICATION)
class Internal(Servlet):
    async def answer(self, request: Request) -> JsonDict:
        raise AssertionError("This process does not serve it")


SERVLETS = (Thing, PutThing, SpecialThing, Poll, ServerVersion, AdminThing, Internal)


class NotingForwarder(Forwarder):
    """Notes what it is given, and answers at once or waits."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, str]] = []
        self.requests: list[Request] = []
        self.waiting: Deferred[None] | None = None
        self.was_cancelled = False

    async def forward(self, request: Request, servlet: str, *, is_long_poll: bool) -> Encoded:
        self.requests.append(request)
        self.seen.append((request.method, request.uri, servlet))
        if self.waiting is not None:
            try:
                await self.waiting
            except CancelledError:
                self.was_cancelled = True
                raise
        headers = (("X-One", "1"), ("X-One", "2"))
        return Encoded(418, b"as it is", "text/plain" if not is_long_poll else "x/poll", headers)


class ForwardRoutesTests(TestCase):
    def setUp(self) -> None:
        self.forwarder = NotingForwarder()

    def make_site(self, *resources: str, forwards: bool = True) -> Site:
        listener = Listener(
            port=8083, resources=(ListenerResource(names=resources or ("client", "metrics")),)
        )
        return build_site(
            make_hs(FakeReactor()),
            listener,
            SERVLETS,
            kinds=("client_reader",),
            forwarder=self.forwarder if forwards else None,
        )

    def test_what_is_served_here_stays_here(self) -> None:
        answer = make_request(self.make_site(), "GET", f"{V3}/things/one")
        self.assertEqual((answer.status, answer.json["thing"]), (200, "one"))
        self.assertEqual(self.forwarder.seen, [])

    def test_other_methods_and_endpoints_are_forwarded(self) -> None:
        site = self.make_site()
        uri = f"{V3}/things/a%2Fb?x=%2f&y"
        self.assertEqual(make_request(site, "PUT", uri, {}).status, 418)
        self.assertEqual(make_request(site, "GET", "/_synapse/admin/v1/secret").status, 418)
        self.assertEqual(make_request(site, "GET", "/_matrix/federation/v1/version").status, 418)
        self.assertEqual(
            self.forwarder.seen,
            [
                ("PUT", uri, "PutThing"),
                ("GET", "/_synapse/admin/v1/secret", "AdminThing"),
                ("GET", "/_matrix/federation/v1/version", "ServerVersion"),
            ],
        )
        self.assertEqual(self.forwarder.requests[0].body, b"{}")

    def test_a_literal_path_of_another_process_is_not_taken_for_a_parameter(self) -> None:
        make_request(self.make_site(), "GET", f"{V3}/things/special")
        self.assertEqual(self.forwarder.seen, [("GET", f"{V3}/things/special", "SpecialThing")])

    def test_the_answer_is_returned_as_it_is(self) -> None:
        site = self.make_site()
        connection = start_request(site, "PUT", f"{V3}/things/one", {})
        connection.pump()
        raw = connection.transport.value()
        self.assertEqual((raw.count(b"X-One: 1\r\n"), raw.count(b"X-One: 2\r\n")), (1, 1))
        self.assertEqual(raw.count(b"Access-Control-Allow-Origin"), 1)
        self.assertIn(b"Content-Type: text/plain\r\n", raw)
        self.assertTrue(raw.endswith(b"\r\n\r\nas it is"))

    def test_unknown_paths_are_forwarded(self) -> None:
        site = self.make_site()
        for path in (f"{V3}/new", "/_matrix/new", "/_synapse/admin/v9/new", "/_synapse/client/x"):
            self.assertEqual(make_request(site, "GET", path).status, 418, path)
        self.assertEqual({label for _, _, label in self.forwarder.seen}, {"unknown"})

    def test_what_is_not_for_clients_is_not_forwarded(self) -> None:
        site = self.make_site()
        for path in (
            "/_synapse/replication/call",
            "/_synapse/replication/new",
            "/_synapse/metrics/x",
            "/health/x",
            "/else",
            "/",
            "http://other.test/_matrix/client/v3/new",
        ):
            self.assertEqual(make_request(site, "POST", path, {}).status, 404, path)
        self.assertEqual(make_request(site, "BREW", f"{V3}/new").status, 404)
        self.assertEqual(self.forwarder.seen, [])

    def test_a_known_path_has_its_methods(self) -> None:
        answer = make_request(self.make_site(), "DELETE", f"{V3}/things/one")
        self.assertEqual((answer.status, answer.headers["allow"]), (405, "GET, PUT, OPTIONS"))

    def test_preflights_are_answered_here(self) -> None:
        self.assertEqual(make_request(self.make_site(), "OPTIONS", f"{V3}/poll").status, 204)
        self.assertEqual(self.forwarder.seen, [])

    def test_a_listener_leads_only_where_clients_of_it_belong(self) -> None:
        site = self.make_site("metrics", "health")
        self.assertEqual(make_request(site, "GET", f"{V3}/things/one").status, 404)
        site = self.make_site("media")
        self.assertEqual(make_request(site, "GET", f"{V3}/things/one").status, 404)
        self.assertEqual(make_request(site, "GET", "/_synapse/admin/v1/secret").status, 404)
        self.assertEqual(make_request(site, "GET", "/_matrix/new").status, 404)
        self.assertEqual(make_request(site, "GET", "/_matrix/media/v3/config").status, 418)

    def test_without_a_forwarder(self) -> None:
        site = self.make_site(forwards=False)
        self.assertEqual(make_request(site, "PUT", f"{V3}/things/one", {}).status, 405)
        self.assertEqual(make_request(site, "GET", f"{V3}/new").status, 404)

    def test_the_limit_of_the_endpoint_holds(self) -> None:
        site = self.make_site()
        answer = make_request(site, "PUT", f"{V3}/things/one", b"x" * 11)
        self.assertEqual((answer.status, answer.json["errcode"]), (413, "M_TOO_LARGE"))
        answer = make_request(site, "PUT", f"{V3}/new", b"x" * (1024 * 1024 + 1))
        self.assertEqual(answer.status, 413)
        self.assertEqual(self.forwarder.seen, [])

    def test_a_mark_ends_the_journey(self) -> None:
        """Whether it is authentic or not: a circle must not depend on equal secrets."""
        site = self.make_site()
        answer = make_request(site, "GET", f"{V3}/poll", headers={HOP_HEADER: "192.0.2.1 0"})
        self.assertEqual((answer.status, answer.json["errcode"]), (503, "M_UNKNOWN"))
        answer = make_request(site, "GET", f"{V3}/new", headers={HOP_HEADER: "192.0.2.1 0"})
        self.assertEqual((answer.status, answer.json["errcode"]), (404, "M_UNRECOGNIZED"))
        answer = make_request(site, "GET", f"{V3}/things/x", headers={HOP_HEADER: "192.0.2.1 0"})
        self.assertEqual((answer.status, answer.json["ip"]), (200, "127.0.0.1"))
        self.assertEqual(self.forwarder.seen, [])

    def test_a_client_that_leaves_ends_its_long_poll(self) -> None:
        self.forwarder.waiting = Deferred()
        connection = start_request(self.make_site(), "GET", f"{V3}/poll")
        connection.disconnect()
        self.assertTrue(self.forwarder.was_cancelled)

    def test_a_client_that_leaves_does_not_end_a_write(self) -> None:
        self.forwarder.waiting = Deferred()
        connection = start_request(self.make_site(), "PUT", f"{V3}/things/one", {})
        connection.disconnect()
        self.assertFalse(self.forwarder.was_cancelled)
        self.forwarder.waiting.callback(None)

    def test_long_polls_are_told_from_others(self) -> None:
        answer = make_request(self.make_site(), "GET", f"{V3}/poll")
        self.assertEqual(answer.headers["content-type"], "x/poll")


class HopMarksTests(TestCase):
    def setUp(self) -> None:
        self.marks = HopMarks(make_hs(FakeReactor(), worker_replication_secret="s3cret"))
        self.mark = self.marks.make(b"GET", b"/path?a=b", "192.0.2.7")

    def test_a_mark_holds_for_its_request_only(self) -> None:
        self.assertEqual(self.marks.client_ip(self.mark, b"GET", b"/path?a=b"), "192.0.2.7")
        self.assertIsNone(self.marks.client_ip(self.mark, b"PUT", b"/path?a=b"))
        self.assertIsNone(self.marks.client_ip(self.mark, b"GET", b"/path"))
        other = self.mark.replace("192.0.2.7", "192.0.2.8")
        self.assertIsNone(self.marks.client_ip(other, b"GET", b"/path?a=b"))
        for bad in ("", " ", "192.0.2.7", "\xff \xff"):
            self.assertIsNone(self.marks.client_ip(bad, b"GET", b"/path?a=b"))

    def test_a_mark_needs_the_secret(self) -> None:
        for config in ({}, {"worker_replication_secret": "other"}):
            others = HopMarks(make_hs(FakeReactor(), **config))
            self.assertIsNone(others.client_ip(self.mark, b"GET", b"/path?a=b"))

    def test_without_a_secret_the_signing_key_serves(self) -> None:
        first, second = (HopMarks(make_hs(FakeReactor())) for _ in range(2))
        mark = first.make(b"GET", b"/", "2001:db8::1")
        self.assertEqual(second.client_ip(mark, b"GET", b"/"), "2001:db8::1")
        self.assertIsNone(self.marks.client_ip(mark, b"GET", b"/"))

    def test_the_receiver_takes_the_address(self) -> None:
        """Even on a listener that does not trust X-Forwarded-For."""
        hs = make_hs(FakeReactor(), worker_replication_secret="s3cret")
        listener = Listener(port=8008, resources=(ListenerResource(names=("client",)),))
        site = build_site(hs, listener, SERVLETS[:1])
        path = f"{V3}/things/a%2Fb"
        mark = self.marks.make(b"GET", path.encode(), "192.0.2.7")
        answer = make_request(site, "GET", path, headers={HOP_HEADER: mark})
        self.assertEqual(answer.json["ip"], "192.0.2.7")
        forged = {HOP_HEADER: f"192.0.2.9 {mark.split()[1]}", "X-Forwarded-For": "192.0.2.9"}
        answer = make_request(site, "GET", path, headers=forged)
        self.assertEqual(answer.json["ip"], "127.0.0.1")
