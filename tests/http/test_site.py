"""Tests of whole requests to a site."""

from __future__ import annotations

import gzip
import io
from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock as FakeReactor
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import TestCase

from synapse_lite.api.errors import (
    InteractiveAuthError,
    LimitExceededError,
    MatrixError,
    NotFoundError,
)
from synapse_lite.api.urls import ADMIN_V1, CLIENT, CLIENT_V1, FEDERATION_V1, REPLICATION
from synapse_lite.http.endpoint import Auth, FileBody, Request, Response, Servlet, endpoint
from synapse_lite.http.file_sender import FileSender
from synapse_lite.logging import context
from synapse_lite.server import Homeserver
from synapse_lite.types.requester import Requester
from synapse_lite.util.json import JsonDict
from tests.harness.http import Answer, Connection, make_request, start_request
from tests.http.support import make_site

V3 = "/_matrix/client/v3"


@endpoint("GET PUT", CLIENT, "/echo/{value}", auth=Auth.NONE, served_by=("client_reader",))
class Echo(Servlet):
    async def get(self, request: Request, value: str) -> JsonDict:
        return {"value": value, "ip": request.client_ip, "padding": "x" * 2000}

    async def put(self, request: Request, value: str) -> JsonDict:
        return {"value": value, "body": request.json()}


@endpoint("GET", CLIENT, "/user")
class NeedsUser(Servlet):
    async def answer(self, request: Request, requester: Requester) -> JsonDict:
        return {"user_id": requester.user_id, "logged": context.current().requester}


@endpoint("GET", CLIENT, "/guest", auth=Auth.GUEST)
class NeedsGuest(NeedsUser):
    pass


@endpoint("GET", ADMIN_V1, "/admin", auth=Auth.ADMIN)
class NeedsAdmin(NeedsUser):
    pass


@endpoint("GET", CLIENT, "/optional", auth=Auth.OPTIONAL)
class TakesAnybody(Servlet):
    async def answer(self, request: Request, requester: Requester | None) -> JsonDict:
        return {"user_id": requester.user_id if requester else None}


@endpoint("GET", FEDERATION_V1, "/server", auth=Auth.SERVER)
class NeedsServer(Servlet):
    async def answer(self, request: Request, origin: str) -> JsonDict:
        return {"origin": origin}


@endpoint("POST", REPLICATION, "/call", auth=Auth.REPLICATION)
class NeedsSecret(Servlet):
    async def answer(self, request: Request) -> JsonDict:
        return {}


@endpoint("POST", CLIENT, "/limited", limit="rc_message")
class Limited(Servlet):
    async def answer(self, request: Request, requester: Requester) -> JsonDict:
        return {}


@endpoint("POST", CLIENT, "/limited_address", auth=Auth.NONE, limit="rc_login.address")
class LimitedAddress(Servlet):
    async def answer(self, request: Request) -> JsonDict:
        return {}


class Failing(Servlet):
    """Raises what the test says."""

    error: Exception

    async def answer(self, request: Request) -> JsonDict:
        raise self.error


@endpoint("GET", CLIENT, "/fail", auth=Auth.NONE)
class Fails(Failing):
    pass


class Waiting(Servlet):
    """Waits, and notes how that ended."""

    def __init__(self, hs: Homeserver) -> None:
        self.events.clear()
        self.waiting.clear()

    events: list[str] = []
    waiting: list[Deferred[None]] = []

    async def answer(self, request: Request) -> JsonDict:
        self.events.append("begun")
        waiting: Deferred[None] = Deferred()
        self.waiting.append(waiting)
        try:
            await waiting
        except CancelledError:
            self.events.append("cancelled")
            raise
        self.events.append("done")
        return {}


@endpoint("GET", CLIENT, "/poll", auth=Auth.NONE, cancellable=True)
class Poll(Waiting):
    pass


@endpoint("PUT", CLIENT, "/write", auth=Auth.NONE)
class Write(Waiting):
    pass


@endpoint("GET", CLIENT, "/answers/{kind}", auth=Auth.NONE)
class Answers(Servlet):
    async def answer(self, request: Request, kind: str) -> Any:
        return {
            "bytes": b'{"ready": true}',
            "status": Response(201, {"a": 1}, {"X-Test": "yes"}),
            "text": Response(200, b"t" * 3000, {"Content-Type": "text/plain"}),
            "image": Response(200, b"i" * 3000, {"Content-Type": "image/png"}),
            "file": Response(
                200, FileBody(io.BytesIO(b"f" * 200_000), 200_000), {"Content-Type": "a/b"}
            ),
            "short": Response(200, FileBody(io.BytesIO(b"f"), 10), {"Content-Type": "a/b"}),
            "nothing": Response(204, b""),
            "split": Response(200, {}, {"X-Test": "a\r\nX-Evil: b"}),
        }[kind]


@endpoint("PUT", CLIENT, "/small", auth=Auth.NONE, max_body_bytes=10)
class Small(Servlet):
    async def answer(self, request: Request) -> JsonDict:
        return {"length": len(request.body)}


@endpoint("POST", CLIENT_V1, "/media/upload", auth=Auth.NONE, body_to_file=True)
class Upload(Servlet):
    async def answer(self, request: Request) -> JsonDict:
        assert request.body_file is not None
        return {"length": len(request.body_file.read()), "body": len(request.body)}


class PausingTransport(StringTransport):
    """Has enough after every piece."""

    def write(self, data: bytes) -> None:
        super().write(data)
        assert self.producer is not None
        self.producer.pauseProducing()


def get(servlet: type[Servlet], path: str, **arguments: Any) -> Answer:
    return make_request(make_site(servlet), "GET", path, **arguments)


class RoutingTests(TestCase):
    def test_every_prefix(self) -> None:
        site = make_site(Echo)
        for prefix in CLIENT:
            answer = make_request(site, "GET", f"{prefix}/echo/a%2Fb")
            self.assertEqual((answer.status, answer.json["value"]), (200, "a/b"))

    def test_method_of_the_class(self) -> None:
        answer = make_request(make_site(Echo), "PUT", f"{V3}/echo/v", {"a": 1})
        self.assertEqual(answer.json, {"value": "v", "body": {"a": 1}})

    def test_unknown_path(self) -> None:
        answer = get(Echo, f"{V3}/nothing")
        self.assertEqual((answer.status, answer.json["errcode"]), (404, "M_UNRECOGNIZED"))

    def test_unknown_method(self) -> None:
        answer = make_request(make_site(Echo), "DELETE", f"{V3}/echo/v")
        self.assertEqual((answer.status, answer.json["errcode"]), (405, "M_UNRECOGNIZED"))
        self.assertEqual(answer.headers["allow"], "GET, PUT, OPTIONS")

    def test_head(self) -> None:
        answer = make_request(make_site(Echo), "HEAD", f"{V3}/echo/v")
        self.assertEqual((answer.status, answer.body), (200, b""))
        self.assertGreater(int(answer.headers["content-length"]), 2000)

    def test_only_resources_of_the_listener(self) -> None:
        site = make_site(Echo, NeedsServer, resources=("federation",))
        self.assertEqual(make_request(site, "GET", f"{V3}/echo/v").status, 404)
        self.assertEqual(make_request(site, "GET", "/_matrix/federation/v1/server").status, 200)

    def test_only_endpoints_of_the_kind_of_process(self) -> None:
        site = make_site(Echo, TakesAnybody, kinds=("client_reader",))
        self.assertEqual(make_request(site, "GET", f"{V3}/echo/v").status, 200)
        self.assertEqual(make_request(site, "GET", f"{V3}/optional").status, 404)

    def test_health_and_metrics(self) -> None:
        site = make_site(Echo, kinds=())
        self.assertEqual(make_request(site, "GET", "/health").body, b"OK")
        answer = make_request(site, "GET", "/_synapse/metrics")
        self.assertIn(b'servlet="Health"', answer.body)
        self.assertTrue(answer.headers["content-type"].startswith("text/plain"))

    def test_several_requests_on_one_connection(self) -> None:
        connection = start_request(make_site(Echo), "GET", f"{V3}/echo/1")
        connection.request("GET", f"{V3}/echo/2")
        first, second = connection.answer(), connection.answer()
        assert first is not None and second is not None
        self.assertEqual((first.json["value"], second.json["value"]), ("1", "2"))
        self.assertTrue(connection.is_open)

    def test_close_when_asked(self) -> None:
        connection = start_request(
            make_site(Echo), "GET", f"{V3}/echo/1", headers={"Connection": "close"}
        )
        answer = connection.answer()
        assert answer is not None
        self.assertEqual(answer.headers["connection"], "close")
        self.assertFalse(connection.is_open)


class CorsTests(TestCase):
    def check(self, answer: Answer) -> None:
        self.assertEqual(answer.headers["access-control-allow-origin"], "*")
        self.assertIn("PUT", answer.headers["access-control-allow-methods"])
        self.assertIn("Authorization", answer.headers["access-control-allow-headers"])

    def test_preflight(self) -> None:
        for path in (f"{V3}/user", f"{V3}/nothing"):
            answer = make_request(make_site(NeedsUser), "OPTIONS", path)
            self.assertEqual((answer.status, answer.body), (204, b""))
            self.check(answer)

    def test_answers_and_errors(self) -> None:
        for path, status in ((f"{V3}/echo/1", 200), (f"{V3}/nothing", 404), (f"{V3}/user", 401)):
            answer = make_request(make_site(Echo, NeedsUser), "GET", path)
            self.assertEqual(answer.status, status)
            self.check(answer)

    def test_too_large(self) -> None:
        self.check(make_request(make_site(Small), "PUT", f"{V3}/small", b"x" * 11))


class AuthTests(TestCase):
    def check(
        self, servlet: type[Servlet], path: str, token: str | None, status: int, errcode: str = ""
    ) -> Answer:
        answer = get(servlet, path, access_token=token)
        self.assertEqual(answer.status, status)
        self.assertEqual(answer.json.get("errcode", ""), errcode)
        return answer

    def test_user(self) -> None:
        answer = self.check(NeedsUser, f"{V3}/user", "user-token", 200)
        self.assertEqual(answer.json, {"user_id": "@user:test", "logged": "@user:test"})
        self.check(NeedsUser, f"{V3}/user", None, 401, "M_MISSING_TOKEN")
        self.check(NeedsUser, f"{V3}/user", "wrong", 401, "M_UNKNOWN_TOKEN")
        self.check(NeedsUser, f"{V3}/user", "guest-token", 403, "M_GUEST_ACCESS_FORBIDDEN")
        self.check(NeedsUser, f"{V3}/user?access_token=user-token", None, 200)

    def test_guest(self) -> None:
        answer = self.check(NeedsGuest, f"{V3}/guest", "guest-token", 200)
        self.assertEqual(answer.json["user_id"], "@guest:test")
        self.check(NeedsGuest, f"{V3}/guest", None, 401, "M_MISSING_TOKEN")

    def test_optional(self) -> None:
        self.assertIsNone(self.check(TakesAnybody, f"{V3}/optional", None, 200).json["user_id"])
        answer = self.check(TakesAnybody, f"{V3}/optional", "user-token", 200)
        self.assertEqual(answer.json["user_id"], "@user:test")
        self.check(TakesAnybody, f"{V3}/optional", "wrong", 401, "M_UNKNOWN_TOKEN")

    def test_admin(self) -> None:
        path = "/_synapse/admin/v1/admin"
        self.check(NeedsAdmin, path, "admin-token", 200)
        self.check(NeedsAdmin, path, "user-token", 403, "M_FORBIDDEN")

    def test_server(self) -> None:
        answer = self.check(NeedsServer, "/_matrix/federation/v1/server", None, 200)
        self.assertEqual(answer.json, {"origin": "remote.test"})

    def test_replication(self) -> None:
        site = make_site(NeedsSecret, worker_replication_secret="s3cret")
        path = "/_synapse/replication/call"
        for token, status in (("s3cret", 200), ("wrong", 401), (None, 401)):
            answer = make_request(site, "POST", path, access_token=token)
            self.assertEqual(answer.status, status)
        # A secret in the URI would end up in logs of proxies.
        self.assertEqual(make_request(site, "POST", f"{path}?access_token=s3cret").status, 401)

    def test_replication_without_secret(self) -> None:
        answer = make_request(make_site(NeedsSecret), "POST", "/_synapse/replication/call")
        self.assertEqual(answer.status, 200)


class LimitTests(TestCase):
    def test_by_user(self) -> None:
        reactor = FakeReactor()
        site = make_site(Limited, reactor=reactor, rc_message={"per_second": 0.5, "burst_count": 2})

        def post(token: str) -> Answer:
            return make_request(site, "POST", f"{V3}/limited", access_token=token)

        self.assertEqual([post("user-token").status for _ in range(3)], [200, 200, 429])
        answer = post("user-token")
        self.assertEqual(answer.json["errcode"], "M_LIMIT_EXCEEDED")
        retry_after_ms = answer.json["retry_after_ms"]
        self.assertTrue(0 < retry_after_ms <= 2000, retry_after_ms)
        self.assertEqual(answer.headers["retry-after"], str(-(-retry_after_ms // 1000)))
        self.assertEqual(post("other-token").status, 200)
        self.assertEqual({post("bridge-token").status for _ in range(5)}, {200})
        reactor.advance(2.1)
        self.assertEqual(post("user-token").status, 200)

    def test_by_address(self) -> None:
        site = make_site(
            LimitedAddress,
            rc_login={"address": {"per_second": 0.1, "burst_count": 1}},
        )

        def post(ip: str) -> int:
            return make_request(site, "POST", f"{V3}/limited_address", client_ip=ip).status

        self.assertEqual([post("1.1.1.1"), post("1.1.1.1"), post("2.2.2.2")], [200, 429, 200])

    def test_unknown_limit_fails_when_the_site_is_built(self) -> None:
        @endpoint("GET", CLIENT, "/x", limit="rc_mesage")
        class Misspelt(NeedsUser):
            pass

        self.assertRaises(LookupError, make_site, Misspelt)


class ErrorTests(TestCase):
    def failing(self, error: Exception, **arguments: Any) -> Answer:
        Fails.error = error
        return make_request(make_site(Fails, **arguments), "GET", f"{V3}/fail")

    def test_matrix_error(self) -> None:
        answer = self.failing(NotFoundError("No such thing", extra={"more": 1}))
        self.assertEqual(answer.status, 404)
        self.assertEqual(
            answer.json, {"errcode": "M_NOT_FOUND", "error": "No such thing", "more": 1}
        )

    def test_interactive_auth(self) -> None:
        body = {"flows": [{"stages": ["m.login.password"]}], "session": "s", "params": {}}
        answer = self.failing(InteractiveAuthError(body))
        self.assertEqual((answer.status, answer.json), (401, body))

    def test_limit(self) -> None:
        answer = self.failing(LimitExceededError(retry_after_ms=1001))
        self.assertEqual(answer.headers["retry-after"], "2")

    def test_unknown_error_says_nothing_outside_and_all_inside(self) -> None:
        with self.assertLogs("synapse_lite.http", "ERROR") as logs:
            answer = self.failing(RuntimeError("the password is hunter2"))
        self.assertEqual(answer.status, 500)
        self.assertEqual(answer.json, {"errcode": "M_UNKNOWN", "error": "Internal server error"})
        self.assertEqual(len(logs.records), 1)
        exc_info = logs.records[0].exc_info
        assert exc_info is not None
        self.assertEqual(str(exc_info[1]), "the password is hunter2")

    def test_translated_error(self) -> None:
        class DatabaseAway(Exception):
            pass

        def translate(error: BaseException) -> MatrixError | None:
            return MatrixError("Busy", status=503) if isinstance(error, DatabaseAway) else None

        with self.assertLogs("synapse_lite.http", "WARNING") as logs:
            answer = self.failing(DatabaseAway(), translate_error=translate)
        self.assertEqual(answer.status, 503)
        self.assertIsNone(logs.records[0].exc_info)

    def test_bad_json(self) -> None:
        site = make_site(Echo)
        for body, errcode in (
            (b"{", "M_NOT_JSON"),
            (b"", "M_NOT_JSON"),
            (b'{"a": NaN}', "M_NOT_JSON"),
            (b"\xef\xbb\xbf{}", "M_NOT_JSON"),
            (b"[" * 100_000 + b"]" * 100_000, "M_NOT_JSON"),
            (b"[]", "M_BAD_JSON"),
        ):
            answer = make_request(site, "PUT", f"{V3}/echo/v", body)
            self.assertEqual((answer.status, answer.json["errcode"]), (400, errcode))

    def test_bad_path(self) -> None:
        answer = get(Echo, f"{V3}/echo/%ff")
        self.assertEqual((answer.status, answer.json["errcode"]), (400, "M_INVALID_PARAM"))


class AnswerTests(TestCase):
    def answer(
        self, kind: str, compress: bool = True, headers: Mapping[str, str] | None = None
    ) -> Answer:
        site = make_site(Answers, compress=compress)
        return make_request(site, "GET", f"{V3}/answers/{kind}", headers=headers)

    def test_bytes_are_json(self) -> None:
        answer = self.answer("bytes")
        self.assertEqual(answer.body, b'{"ready": true}')
        self.assertEqual(answer.headers["content-type"], "application/json")
        self.assertIn("no-store", answer.headers["cache-control"])
        self.assertIn("date", answer.headers)

    def test_status_and_headers(self) -> None:
        answer = self.answer("status")
        self.assertEqual((answer.status, answer.json), (201, {"a": 1}))
        self.assertEqual(answer.headers["x-test"], "yes")

    def test_no_content(self) -> None:
        answer = self.answer("nothing")
        self.assertEqual((answer.status, answer.body), (204, b""))
        self.assertNotIn("content-length", answer.headers)

    def test_file(self) -> None:
        answer = self.answer("file")
        self.assertEqual(answer.body, b"f" * 200_000)

    def test_short_file_closes_the_connection(self) -> None:
        connection = start_request(make_site(Answers), "GET", f"{V3}/answers/short")
        self.assertIsNone(connection.answer())
        self.assertFalse(connection.is_open)

    def test_file_is_closed_when_the_client_goes_away(self) -> None:
        file = io.BytesIO(b"f" * 300_000)
        sent: list[int] = []
        transport = StringTransport()
        sender = FileSender(file, 300_000, transport, sent.append)
        sender.start()
        self.assertEqual((sent, len(transport.value())), ([300_000], 300_000))

        file = io.BytesIO(b"f" * 300_000)
        sender = FileSender(file, 300_000, PausingTransport(), sent.append)
        sender.start()
        self.assertFalse(file.closed)
        sender.stopProducing()
        self.assertTrue(file.closed)
        self.assertEqual(sent[1:], [64 * 1024])

    def test_header_injection(self) -> None:
        with self.assertLogs("synapse_lite.http", "ERROR"):
            answer = self.answer("split")
        self.assertEqual(answer.status, 500)
        self.assertNotIn("x-evil", answer.headers)

    def test_gzip(self) -> None:
        answer = self.answer("text", headers={"Accept-Encoding": "br, gzip;q=0.8"})
        self.assertEqual(answer.headers["content-encoding"], "gzip")
        self.assertEqual(answer.headers["vary"], "Accept-Encoding")
        self.assertEqual(gzip.decompress(answer.body), b"t" * 3000)

    def test_no_gzip(self) -> None:
        for kind, compress, accepted in (
            ("text", False, "gzip"),
            ("text", True, "br"),
            ("text", True, "gzip;q=0"),
            ("text", True, ""),
            ("bytes", True, "gzip"),
            ("image", True, "gzip"),
        ):
            answer = self.answer(kind, compress, headers={"Accept-Encoding": accepted})
            self.assertNotIn("content-encoding", answer.headers)


class BodyLimitTests(TestCase):
    def test_announced_length(self) -> None:
        connection = start_request(
            make_site(Small),
            "PUT",
            f"{V3}/small",
            headers={"Content-Length": "11", "Expect": "100-continue"},
        )
        answer = connection.answer()
        assert answer is not None
        self.assertEqual((answer.status, answer.json["errcode"]), (413, "M_TOO_LARGE"))
        self.assertEqual(answer.headers["connection"], "close")

    def test_rest_of_the_body_is_no_request(self) -> None:
        connection = start_request(
            make_site(Small, Echo), "PUT", f"{V3}/small", headers={"Content-Length": "200"}
        )
        connection.answer()
        connection.send(f"GET {V3}/echo/1 HTTP/1.1\r\n\r\n".encode() * 20)
        self.assertIsNone(connection.answer())
        connection.reactor.advance(6)
        self.assertFalse(connection.is_open)

    def test_chunks(self) -> None:
        connection = start_request(
            make_site(Small, Echo), "PUT", f"{V3}/small", headers={"Transfer-Encoding": "chunked"}
        )
        connection.send(b"6\r\n123456\r\n")
        self.assertIsNone(connection.answer())
        connection.send(b"6\r\n123456\r\n0\r\n\r\n" + f"GET {V3}/echo/1 HTTP/1.1\r\n\r\n".encode())
        answer = connection.answer()
        assert answer is not None
        self.assertEqual(answer.status, 413)
        self.assertIsNone(connection.answer())

    def test_as_large_as_allowed(self) -> None:
        site = make_site(Small)
        answer = make_request(site, "PUT", f"{V3}/small", b"1234567890")
        self.assertEqual(answer.json, {"length": 10})
        connection = start_request(
            site, "PUT", f"{V3}/small", headers={"Transfer-Encoding": "chunked"}
        )
        connection.send(b"a\r\n1234567890\r\n0\r\n\r\n")
        chunked = connection.answer()
        assert chunked is not None
        self.assertEqual(chunked.json, {"length": 10})

    def test_default(self) -> None:
        answer = make_request(make_site(Echo), "PUT", f"{V3}/echo/1", b" " * (1024 * 1024 + 1))
        self.assertEqual(answer.status, 413)

    def test_body_in_a_file(self) -> None:
        path = "/_matrix/client/v1/media/upload"
        answer = make_request(make_site(Upload), "POST", path, b"x" * 400_000)
        self.assertEqual(answer.json, {"length": 400_000, "body": 0})

    def test_header_limits(self) -> None:
        for headers, status, errcode in (
            ({f"X-{number}": "v" for number in range(200)}, 400, "M_UNKNOWN"),
            ({"X-Long": "v" * 20_000}, 413, "M_TOO_LARGE"),
            ({f"X-{number}": "v" * 8000 for number in range(5)}, 400, "M_UNKNOWN"),
            ({"Content-Length": "9" * 5000}, 400, "M_UNKNOWN"),
            ({"Content-Length": "5", "Transfer-Encoding": "chunked"}, 400, "M_UNKNOWN"),
        ):
            connection = start_request(make_site(Echo), "GET", f"{V3}/echo/1", headers=headers)
            self._check_refused(connection, status, errcode)

    def test_what_is_no_request(self) -> None:
        for path, status, errcode in (
            (f"{V3}/echo/" + "x" * 20_000, 413, "M_TOO_LARGE"),
            (f"{V3}/echo/a\0b", 400, "M_UNKNOWN"),
            (f"{V3}/echo/a b c", 400, "M_UNKNOWN"),
        ):
            connection = start_request(make_site(Echo), "GET", path)
            self._check_refused(connection, status, errcode)

    def _check_refused(self, connection: Connection, status: int, errcode: str) -> None:
        """One answer in JSON, which clients in browsers may read too, and the end."""
        answer = connection.answer()
        assert answer is not None
        self.assertEqual((answer.status, answer.json["errcode"]), (status, errcode))
        self.assertEqual(answer.headers["content-type"], "application/json")
        self.assertEqual(answer.headers["access-control-allow-origin"], "*")
        self.assertEqual(connection.transport.value(), b"")
        self.assertFalse(connection.is_open)


class TimeoutTests(TestCase):
    def drip(self, head: bytes, seconds: int) -> bool:
        """Send a head, then a byte each second; whether the connection is open in the end."""
        connection = start_request(make_site(Echo, Poll), "GET", f"{V3}/echo/1")
        connection.answer()
        connection.send(head)
        for _ in range(seconds):
            connection.reactor.advance(1)
            if connection.is_open:
                connection.send(b"1")
        return connection.is_open

    def test_dripping_head(self) -> None:
        head = b"GET /x HTTP/1.1\r\nX-Slow: "
        self.assertTrue(self.drip(head, 25))
        self.assertFalse(self.drip(head, 35))

    def test_dripping_body(self) -> None:
        head = f"PUT {V3}/echo/1 HTTP/1.1\r\nContent-Length: 16000\r\n\r\n".encode()
        self.assertTrue(self.drip(head, 30))
        self.assertFalse(self.drip(head, 40))

    def test_idle_connection(self) -> None:
        connection = start_request(make_site(Echo), "GET", f"{V3}/echo/1")
        connection.reactor.advance(100)
        self.assertTrue(connection.is_open)
        connection.reactor.advance(30)
        self.assertFalse(connection.is_open)

    def test_waiting_for_an_answer_is_not_idle(self) -> None:
        connection = start_request(make_site(Poll), "GET", f"{V3}/poll")
        connection.reactor.advance(1000)
        self.assertTrue(connection.is_open)
        connection.disconnect()


class DisconnectTests(TestCase):
    def test_long_poll_is_cancelled(self) -> None:
        site = make_site(Poll)
        connection = start_request(site, "GET", f"{V3}/poll")
        self.assertEqual(Poll.events, ["begun"])
        connection.disconnect()
        self.assertEqual(Poll.events, ["begun", "cancelled"])
        self.assertEqual(site.running, set())

    def test_write_goes_on(self) -> None:
        connection = start_request(make_site(Write), "PUT", f"{V3}/write")
        connection.disconnect()
        self.assertEqual(Write.events, ["begun"])
        Write.waiting[0].callback(None)
        self.assertEqual(Write.events, ["begun", "done"])

    def test_stopping_answers_long_polls_only(self) -> None:
        site = make_site(Poll, Write)
        poll = start_request(site, "GET", f"{V3}/poll")
        write = start_request(site, "PUT", f"{V3}/write")
        site.close()
        answer = poll.answer()
        assert answer is not None
        self.assertEqual(answer.status, 503)
        self.assertIsNone(write.answer())
        Write.waiting[-1].callback(None)
        written = write.answer()
        assert written is not None
        self.assertEqual(written.status, 200)

    def test_stopping_closes_connections_as_soon_as_they_are_idle(self) -> None:
        site = make_site(Echo, Write)
        idle = start_request(site, "GET", f"{V3}/echo/1")
        self.assertIsNotNone(idle.answer())
        busy = start_request(site, "PUT", f"{V3}/write")
        site.close()
        self.assertFalse(idle.is_open)
        self.assertTrue(busy.is_open)
        Write.waiting[-1].callback(None)
        answer = busy.answer()
        assert answer is not None
        self.assertEqual((answer.status, answer.headers["connection"]), (200, "close"))
        self.assertFalse(busy.is_open)
        self.assertEqual(site.channels, set())

    def test_nothing_is_begun_while_stopping(self) -> None:
        site = make_site(Write)
        connection = start_request(site, "PUT", f"{V3}/write", b"")
        Write.waiting[-1].callback(None)
        self.assertIsNotNone(connection.answer())
        head = f"PUT {V3}/write HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\n".encode()
        connection.send(head)
        site.close()
        begun = len(Write.waiting)
        connection.send(b"{}")
        answer = connection.answer()
        assert answer is not None
        self.assertEqual((answer.status, answer.json["errcode"]), (503, "M_UNKNOWN"))
        self.assertEqual(len(Write.waiting), begun)
        self.assertFalse(connection.is_open)

    def test_cancelled_for_other_reasons(self) -> None:
        connection = start_request(make_site(Write), "PUT", f"{V3}/write")
        with self.assertLogs("synapse_lite.http", "ERROR"):
            Write.waiting[0].cancel()
        answer = connection.answer()
        assert answer is not None
        self.assertEqual(answer.status, 500)


class AddressTests(TestCase):
    def ip(self, x_forwarded: bool, value: str | None) -> str:
        site = make_site(Echo, x_forwarded=x_forwarded)
        headers = {} if value is None else {"X-Forwarded-For": value}
        answer = make_request(site, "GET", f"{V3}/echo/1", headers=headers, client_ip="127.0.0.9")
        return str(answer.json["ip"])

    def test_trusted_proxy(self) -> None:
        self.assertEqual(self.ip(True, "1.2.3.4"), "1.2.3.4")
        self.assertEqual(self.ip(True, "2001:DB8::1, 10.0.0.1"), "2001:db8::1")

    def test_unusable_header(self) -> None:
        for value in (None, "", "unknown", "<script>"):
            self.assertEqual(self.ip(True, value), "127.0.0.9")

    def test_untrusted_header(self) -> None:
        self.assertEqual(self.ip(False, "1.2.3.4"), "127.0.0.9")


class AccessLogTests(TestCase):
    def test_line(self) -> None:
        site = make_site(NeedsUser)
        with self.assertLogs("synapse_lite.access.http.8008", "INFO") as logs:
            make_request(
                site,
                "GET",
                f"{V3}/user?access_token=user-token",
                headers={"User-Agent": "Test (\x1b[31m)"},
                client_ip="1.2.3.4",
            )
        (line,) = [record.getMessage() for record in logs.records]
        self.assertTrue(line.startswith("1.2.3.4 - {@user:test} 0.000s db(0/0 0.000s) "), line)
        self.assertIn(f'200 "GET {V3}/user?access_token=<redacted>"', line)
        self.assertNotIn("user-token", line)
        self.assertNotIn("\x1b", line)

    def test_client_that_has_gone(self) -> None:
        site = make_site(Write)
        connection = start_request(site, "PUT", f"{V3}/write")
        connection.disconnect()
        with self.assertLogs("synapse_lite.access.http.8008", "INFO") as logs:
            Write.waiting[-1].callback(None)
        self.assertIn(" 200! ", logs.records[0].getMessage())

    def test_probes_are_quiet(self) -> None:
        with self.assertNoLogs("synapse_lite.access.http.8008", "INFO"):
            make_request(make_site(), "GET", "/health")
