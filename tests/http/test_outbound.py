"""Tests of requests to addresses that others choose."""

from __future__ import annotations

import io
from typing import Any

from twisted.trial.unittest import TestCase

from synapse_lite.http.endpoint import Auth, Request, Response, Servlet, endpoint
from synapse_lite.http.outbound import OutboundClient, OutboundError, check_uri
from tests.http.network import Network, Silent
from tests.http.support import make_hs, make_site

PREFIX = ("/_matrix/client/v3",)
BASE = "http://gateway.example/_matrix/client/v3"


@endpoint("GET POST", PREFIX, "/target/{kind}", auth=Auth.NONE)
class Target(Servlet):
    requests: list[Request] = []

    async def answer(self, request: Request, kind: str) -> Any:
        self.requests.append(request)
        locations = {
            "redirect": "/_matrix/client/v3/target/plain",
            "loop": "loop",
            "inside": "http://internal.example/_matrix/client/v3/target/plain",
            "literal": "http://[::ffff:127.0.0.1]/",
            "file": "file:///etc/passwd",
        }
        if kind in locations:
            return Response(302, b"", {"Location": locations[kind]})
        if kind == "large":
            return Response(200, b"x" * 2000)
        if kind == "text":
            return Response(200, b"text", {"Content-Type": "text/plain"})
        if kind == "error":
            return Response(500, {})
        return {"got": request.body.decode()}


class OutboundTests(TestCase):
    def setUp(self) -> None:
        Target.requests.clear()
        self.network = Network()
        site = make_site(Target, reactor=self.network.reactor)
        self.network.names["gateway.example"] = ["93.184.216.34"]
        self.network.names["internal.example"] = ["10.0.0.1"]
        for address in ("93.184.216.34", "10.0.0.1", "127.0.0.1", "2606:2800::1"):
            self.network.servers[address, 80] = site
        self.client = OutboundClient(make_hs(self.network.reactor))

    def request(self, uri: str, method: str = "GET", **arguments: Any) -> Any:
        return self.network.run(
            lambda: self.client.request(method, uri, **arguments), seconds=0.1, turns=500
        )

    def check_fails(self, uri: str, **arguments: Any) -> str:
        return str(self.assertRaises(OutboundError, self.request, uri, **arguments))

    def test_answer(self) -> None:
        response = self.request(f"{BASE}/target/plain", "POST", body=b"hello")
        self.assertEqual((response.status, response.body), (200, b'{"got":"hello"}'))
        self.assertEqual(response.headers["content-type"], "application/json")
        self.assertIn("synapse_lite", Target.requests[0].user_agent)

    def test_forbidden_addresses(self) -> None:
        self.network.names["mixed.example"] = ["127.0.0.1", "93.184.216.34"]
        self.network.names["mapped.example"] = ["::ffff:10.0.0.1"]
        self.network.names["127.1"] = ["127.0.0.1"]
        for host in (
            "internal.example",
            "127.0.0.1",
            "[::1]",
            "mapped.example",
            "127.1",
            "0.0.0.0",
        ):
            self.check_fails(f"http://{host}/")
        self.assertEqual(self.network.connections, [])
        self.request("http://mixed.example/")
        self.assertEqual(self.network.connections, [("93.184.216.34", 80)])

    def test_whitelist(self) -> None:
        hs = make_hs(self.network.reactor, ip_range_whitelist=["10.0.0.1"])
        self.client = OutboundClient(hs)
        self.assertEqual(self.request("http://internal.example/").status, 404)

    def test_next_address_when_one_does_not_answer(self) -> None:
        self.network.names["two.example"] = ["93.184.216.99", "2606:2800::1"]
        self.assertEqual(self.request("http://two.example/").status, 404)
        self.assertEqual(self.network.connections, [("93.184.216.99", 80), ("2606:2800::1", 80)])

    def test_unknown_name(self) -> None:
        self.assertIn("resolved", self.check_fails("http://nowhere.example/"))

    def test_refused(self) -> None:
        self.check_fails("http://gateway.example:81/")

    def test_redirects(self) -> None:
        response = self.request(
            f"{BASE}/target/redirect",
            "POST",
            body=b"hello",
            max_redirects=1,
            headers={"Authorization": "Bearer secret", "X-Kept": "yes"},
        )
        self.assertEqual(response.body, b'{"got":""}')
        self.assertEqual(response.uri, f"{BASE}/target/plain")
        followed = Target.requests[-1]
        self.assertEqual((followed.method, followed.bearer), ("GET", None))
        self.assertEqual(followed.header("X-Kept"), "yes")

    def test_redirect_is_not_followed_unasked(self) -> None:
        self.assertEqual(self.request(f"{BASE}/target/redirect").status, 302)

    def test_redirects_to_bad_places(self) -> None:
        for kind in ("inside", "literal", "file", "loop"):
            self.check_fails(f"{BASE}/target/{kind}", max_redirects=5)
        self.assertEqual({host for host, _ in self.network.connections}, {"93.184.216.34"})

    def test_size(self) -> None:
        self.assertEqual(len(self.request(f"{BASE}/target/large", max_bytes=2000).body), 2000)
        self.assertIn("exceeds", self.check_fails(f"{BASE}/target/large", max_bytes=1999))

    def test_sink(self) -> None:
        sink = io.BytesIO()
        response = self.request(f"{BASE}/target/large", sink=sink)
        self.assertEqual((response.body, sink.getvalue()), (b"", b"x" * 2000))

    def test_time_out(self) -> None:
        self.network.servers["93.184.216.34", 80] = Silent()
        self.assertIn("within 5 s", self.check_fails(f"{BASE}/x", timeout_seconds=5))

    def test_post_json(self) -> None:
        def post(kind: str) -> Any:
            return self.network.run(
                lambda: self.client.post_json(f"{BASE}/target/{kind}", {"a": 1})
            )

        self.assertEqual(post("plain"), {"got": '{"a":1}'})
        for kind in ("text", "error", "redirect"):
            self.assertRaises(OutboundError, post, kind)


class CheckUriTests(TestCase):
    def test_good(self) -> None:
        self.assertEqual(check_uri("https://a.b:1/c?d=e#f"), b"https://a.b:1/c?d=e")

    def test_bad(self) -> None:
        for uri in (
            "",
            "/path",
            "ftp://a/",
            "file:///etc/passwd",
            "http://",
            "http://user:password@a/",
            "http://a:99999/",
            "http://a:0/",
            "http://a/b c",
            "http://a/b\r\nX: y",
            "http://a\\@b/",
            "http://ä/",
            "http://[::1/",
            "http://a/" + "b" * 10_000,
        ):
            self.assertRaises(OutboundError, check_uri, uri)
