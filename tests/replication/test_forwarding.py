"""Requests that a worker passes on to its master, over a network in memory."""

from __future__ import annotations

import gzip
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase

from synapse_lite.api.urls import CLIENT, CLIENT_V1
from synapse_lite.config.listeners import Listener, ListenerResource
from synapse_lite.http.endpoint import Auth, Request, Response, Servlet, endpoint
from synapse_lite.http.site import Site, build_site
from synapse_lite.replication import forwarding
from synapse_lite.replication.forwarding import MasterForwarder, addresses_of, timeout_of
from synapse_lite.server import Homeserver
from synapse_lite.storage.database import DatabasePool
from synapse_lite.storage.heartbeats import Heart, ProcessAddress, ProcessHeartbeat
from synapse_lite.storage.processes import ProcessIdentity
from synapse_lite.util.clock import Clock
from synapse_lite.util.metrics import REGISTRY
from tests.harness.databases import MemoryDatabase
from tests.harness.http import Answer, Connection, start_request
from tests.http.network import Dropping, Network, Silent
from tests.http.support import make_hs

V3 = "/_matrix/client/v3"
MASTER = ("127.0.0.1", 8008)


@endpoint("GET PUT POST", CLIENT, "/echo/{value}", auth=Auth.NONE)
class Echo(Servlet):
    """Says what it was asked."""

    requests: list[Request] = []

    async def answer(self, request: Request, value: str) -> Response:
        self.requests.append(request)
        headers = {"Retry-After": "7", "ETag": '"x"', "Content-Type": "text/x-test"}
        return Response(429, value.encode(), headers)


@endpoint("GET", CLIENT, "/large", auth=Auth.NONE, compress=True)
class Large(Servlet):
    async def answer(self, request: Request) -> Response:
        return Response(200, b'"' + b"x" * 3_000_000 + b'"')


@endpoint("GET", CLIENT, "/poll", auth=Auth.NONE, cancellable=True)
class Poll(Servlet):
    """Waits for ever."""

    events: list[str] = []

    async def answer(self, request: Request) -> Response:
        self.events.append("begun")
        try:
            await Deferred()
        except CancelledError:
            self.events.append("cancelled")
            raise
        raise AssertionError("unreachable")


@endpoint("POST", CLIENT_V1, "/upload", auth=Auth.NONE, body_to_file=True, max_body_bytes=2**22)
class Upload(Servlet):
    async def answer(self, request: Request) -> Response:
        assert request.body_file is not None
        content = request.body_file.read()
        return Response(200, {"length": len(content), "type": request.header("Content-Type")})


SERVLETS = (Echo, Large, Poll, Upload)


class DropFirst(Factory):
    """Closes the connection of the first request without an answer, and then is another."""

    protocol = Protocol

    def __init__(self, site: Site) -> None:
        self._site = site
        self.calls = 0

    def buildProtocol(self, addr: Any) -> Any:
        self.calls += 1
        return (Dropping() if self.calls == 1 else self._site).buildProtocol(addr)


class MasterForwarderTests(MemoryDatabase):
    def setUp(self) -> None:
        super().setUp()
        Echo.requests.clear()
        Poll.events.clear()
        self.network = Network()
        self.network.servers[MASTER] = self.make_site(None)
        self.say_where_the_master_is()

    def homeserver(self, **config: Any) -> Homeserver:
        hs = make_hs(self.network.reactor, **{"worker_replication_secret": "s3cret", **config})
        hs.provide(DatabasePool, self.db)
        return hs

    def make_site(self, forwarder: MasterForwarder | None, **config: Any) -> Site:
        """The master's site, or that of a worker that serves nothing itself."""
        return build_site(
            self.homeserver(**config),
            Listener(port=1, resources=(ListenerResource(names=("client",)),)),
            SERVLETS,
            kinds=None if forwarder is None else ("event_creator",),
            forwarder=forwarder,
        )

    def make_worker(self, **config: Any) -> Site:
        return self.make_site(MasterForwarder(self.homeserver(**config)), **config)

    def say_where_the_master_is(
        self, uri: str = "http://127.0.0.1:8008", resources: tuple[str, ...] = ("client",)
    ) -> None:
        heart = Heart(
            self.db,
            Clock(self.network.reactor),
            ProcessIdentity.of_this_process("master"),
            kind="master",
            version="1",
            addresses=[ProcessAddress(uri, frozenset(resources))],
            lag=dict,
        )
        self.await_now(heart.beat())

    def answer_to(self, connection: Connection, seconds: float = 0) -> Answer:
        for _ in range(50):
            answer = connection.answer()
            if answer is not None:
                return answer
            self.network.turn(seconds)
        raise AssertionError("There was no answer")

    def ask(self, site: Site, method: str, path: str, *args: Any, **keywords: Any) -> Answer:
        return self.answer_to(start_request(site, method, path, *args, **keywords))

    def test_the_request_arrives_as_it_was(self) -> None:
        answer = self.ask(
            self.make_worker(),
            "PUT",
            f"{V3}/echo/a%2Fb;c=%C3%A4;?q=1&q=%20&empty=",
            b"body",
            access_token="token",
            headers={
                "User-Agent": "test/1",
                "Content-Type": "text/odd",
                "Accept": "x/y",
                "X-Forwarded-For": "203.0.113.5",
                "X-Other": "not passed",
            },
            client_ip="192.0.2.7",
        )
        (request,) = Echo.requests
        self.assertEqual(answer.body.decode(), "a/b;c=ä;")
        self.assertEqual(request.uri, f"{V3}/echo/a%2Fb;c=%C3%A4;?q=1&q=%20&empty=")
        self.assertEqual((request.method, request.body), ("PUT", b"body"))
        self.assertEqual(request.client_ip, "192.0.2.7")
        self.assertEqual(request.access_token, "token")
        self.assertEqual(request.user_agent, "test/1")
        self.assertEqual(request.header("Content-Type"), "text/odd")
        self.assertEqual(request.header("Accept"), "x/y")
        self.assertEqual(request.headers("X-Forwarded-For"), ["192.0.2.7"])
        self.assertIsNone(request.header("X-Other"))

    def test_the_answer_arrives_as_it_was(self) -> None:
        answer = self.ask(self.make_worker(), "GET", f"{V3}/echo/x")
        self.assertEqual((answer.status, answer.body), (429, b"x"))
        self.assertEqual(answer.headers["retry-after"], "7")
        self.assertEqual(answer.headers["etag"], '"x"')
        self.assertEqual(answer.headers["content-type"], "text/x-test")
        self.assertEqual(answer.headers["access-control-allow-origin"], "*")

    def test_errors_of_the_master_are_its_own(self) -> None:
        worker = self.make_worker()
        answer = self.ask(worker, "GET", "/_matrix/client/v3/nothing")
        self.assertEqual((answer.status, answer.json["errcode"]), (404, "M_UNRECOGNIZED"))
        self.assertEqual(self.network.connections, [MASTER])

    def test_head_has_the_headers_of_get(self) -> None:
        answer = self.ask(self.make_worker(), "HEAD", f"{V3}/echo/four")
        self.assertEqual((answer.status, answer.headers["content-length"]), (429, "4"))

    def test_the_connection_is_kept(self) -> None:
        worker = self.make_worker()
        for _ in range(3):
            self.ask(worker, "GET", f"{V3}/echo/x")
        self.assertEqual(self.network.connections, [MASTER])

    def test_a_large_answer_goes_through_a_file(self) -> None:
        answer = self.ask(self.make_worker(), "GET", f"{V3}/large")
        self.assertEqual(len(answer.body), 3_000_002)

    def test_compression_is_between_client_and_master(self) -> None:
        answer = self.ask(
            self.make_worker(), "GET", f"{V3}/large", headers={"Accept-Encoding": "gzip"}
        )
        self.assertEqual(answer.headers["content-encoding"], "gzip")
        self.assertEqual(len(gzip.decompress(answer.body)), 3_000_002)

    def test_a_body_in_a_file(self) -> None:
        body = b"x" * 1_000_000
        answer = self.ask(
            self.make_worker(),
            "POST",
            "/_matrix/client/v1/upload",
            body,
            headers={"Content-Type": "image/png"},
        )
        self.assertEqual(answer.json, {"length": 1_000_000, "type": "image/png"})

    def test_the_address_in_the_configuration_comes_first(self) -> None:
        self.network.servers["127.0.0.1", 9999] = self.network.servers[MASTER]
        worker = self.make_worker(worker_main_http_uri="http://127.0.0.1:9999/")
        self.assertEqual(self.ask(worker, "GET", f"{V3}/echo/x").status, 429)
        self.assertEqual(self.network.connections, [("127.0.0.1", 9999)])

    def test_a_configured_address_with_nobody_there(self) -> None:
        worker = self.make_worker(worker_main_http_uri="http://127.0.0.1:9999")
        self.assertEqual(self.ask(worker, "POST", f"{V3}/echo/x", {}).status, 429)
        self.assertEqual(self.network.connections, [("127.0.0.1", 9999), MASTER])

    def test_nobody_can_be_reached(self) -> None:
        del self.network.servers[MASTER]
        before = REGISTRY.get_sample_value(*FAILURES)
        answer = self.ask(self.make_worker(), "GET", f"{V3}/echo/x")
        self.assertEqual((answer.status, answer.json["errcode"]), (503, "M_UNKNOWN"))
        self.assertEqual(answer.headers["retry-after"], "2")
        self.assertIn("cannot be reached", answer.json["error"])
        self.assertEqual((REGISTRY.get_sample_value(*FAILURES) or 0) - (before or 0), 1)

    def test_nobody_is_known(self) -> None:
        self.network.turn(60)
        self.assertEqual(self.ask(self.make_worker(), "GET", f"{V3}/echo/x").status, 503)
        self.assertEqual(self.network.connections, [])

    def test_a_master_that_moved_is_found(self) -> None:
        worker = self.make_worker()
        self.network.servers["127.0.0.1", 8009] = self.network.servers.pop(MASTER)
        self.assertEqual(self.ask(worker, "GET", f"{V3}/echo/x").status, 503)
        self.say_where_the_master_is("http://127.0.0.1:8009")
        self.network.turn(forwarding.ASK_AGAIN_SECONDS)
        self.assertEqual(self.ask(worker, "GET", f"{V3}/echo/x").status, 429)

    def test_a_port_without_the_resource_is_not_asked(self) -> None:
        self.say_where_the_master_is(resources=("replication",))
        self.assertEqual(self.ask(self.make_worker(), "GET", f"{V3}/echo/x").status, 503)
        self.assertEqual(self.network.connections, [])

    def test_a_read_is_repeated_when_a_connection_breaks(self) -> None:
        self.network.servers[MASTER] = DropFirst(self.make_site(None))
        self.assertEqual(self.ask(self.make_worker(), "GET", f"{V3}/echo/x").status, 429)

    def test_a_write_is_not_repeated(self) -> None:
        """The master may have carried it out."""
        self.network.servers[MASTER] = DropFirst(self.make_site(None))
        self.assertEqual(self.ask(self.make_worker(), "POST", f"{V3}/echo/x", {}).status, 503)
        self.assertEqual(Echo.requests, [])

    def test_a_client_that_leaves_ends_its_long_poll_at_the_master(self) -> None:
        connection = start_request(self.make_worker(), "GET", f"{V3}/poll?timeout=30000")
        self.network.turn()
        self.assertEqual(Poll.events, ["begun"])
        connection.disconnect()
        self.network.turn()
        self.assertEqual(Poll.events, ["begun", "cancelled"])

    def test_a_silent_master(self) -> None:
        self.network.servers[MASTER] = Silent()
        connection = start_request(self.make_worker(), "GET", f"{V3}/poll?timeout=30000")
        self.network.turn()
        self.network.turn(forwarding.TIMEOUT_SECONDS + 29)
        self.assertIsNone(connection.answer())
        self.assertEqual(self.answer_to(connection, seconds=1).status, 503)

    def test_long_polls_leave_room_for_others(self) -> None:
        self.patch(forwarding, "MAX_LONG_POLLS", 1)
        self.patch(forwarding, "MAX_REQUESTS", 1)
        worker = self.make_worker()
        poll = start_request(worker, "GET", f"{V3}/poll")
        self.network.turn()
        refused = self.ask(worker, "GET", f"{V3}/poll")
        self.assertEqual((refused.status, refused.headers["retry-after"]), (503, "2"))
        self.assertEqual(self.ask(worker, "GET", f"{V3}/echo/x").status, 429)
        poll.disconnect()
        self.network.turn()
        second = start_request(worker, "GET", f"{V3}/poll")
        self.network.turn()
        self.assertIsNone(second.answer())
        second.disconnect()
        self.network.turn()

    def test_workers_that_forward_to_each_other_do_not_go_in_circles(self) -> None:
        config = {"worker_main_http_uri": "http://127.0.0.1:8008"}
        worker = self.make_worker(**config)
        self.network.servers[MASTER] = worker
        answer = self.ask(worker, "GET", f"{V3}/echo/x")
        self.assertEqual(answer.status, 503)
        self.assertEqual(self.network.connections, [MASTER])

    def test_requests_are_counted(self) -> None:
        sample = (
            "synapse_lite_http_forwarded_requests_total",
            {"servlet": "Echo", "kind": "master"},
        )
        before = REGISTRY.get_sample_value(*sample) or 0
        self.ask(self.make_worker(), "GET", f"{V3}/echo/x")
        self.assertEqual((REGISTRY.get_sample_value(*sample) or 0) - before, 1)


FAILURES = ("synapse_lite_http_forwarding_failures_total", {"reason": "unreachable"})


class AddressesTests(TestCase):
    def seen(self, *addresses: ProcessAddress, host: str = "here") -> list[str]:
        beat = ProcessHeartbeat("master", "master", "here", 1, "1", 0, 0, addresses, {})
        return list(addresses_of(beat, "client", host))

    def test_by_resource_and_without_tls_first(self) -> None:
        client = frozenset({"client"})
        found = self.seen(
            ProcessAddress("https://192.0.2.1:8448", client),
            ProcessAddress("http://[2001:db8::1]:8008", client),
            ProcessAddress("http://192.0.2.1:9093", frozenset({"replication"})),
            ProcessAddress("replication://192.0.2.1:9092"),
        )
        self.assertEqual(found, ["http://[2001:db8::1]:8008", "https://192.0.2.1:8448"])

    def test_as_seen_from_here_and_from_elsewhere(self) -> None:
        client = frozenset({"client"})
        bound = [
            ProcessAddress(f"http://{address}:1", client)
            for address in ("127.0.0.1", "[::1]", "0.0.0.0", "[::]", "192.0.2.1")
        ]
        near = ["127.0.0.1", "[::1]", "127.0.0.1", "[::1]", "192.0.2.1"]
        self.assertEqual(self.seen(*bound), [f"http://{address}:1" for address in near])
        far = ["here", "here", "192.0.2.1"]
        self.assertEqual(
            self.seen(*bound, host="there"), [f"http://{address}:1" for address in far]
        )


class TimeoutTests(TestCase):
    def test_what_the_client_wants_to_wait_and_more(self) -> None:
        margin = forwarding.TIMEOUT_SECONDS
        for method, query, expected in (
            ("GET", "timeout=30000", margin + 30),
            ("GET", "timeout=999999999999", margin + 3600),
            ("GET", "timeout=-1", margin),
            ("GET", "timeout=%ff&timeout=x", margin),
            ("GET", "", margin),
            ("PUT", "timeout=30000", margin),
        ):
            request = Request(method, "/", query_string=query)
            self.assertEqual(timeout_of(request), expected, query)
