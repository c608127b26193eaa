"""Tests of what servlets read from a request."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from synapse_lite.api.errors import (
    BadJsonError,
    InvalidParamError,
    MatrixError,
    MissingParamError,
    NotJsonError,
)
from synapse_lite.http.request import Request


def with_query(query_string: str) -> Request:
    return Request("GET", "/x", query_string=query_string)


def with_body(body: bytes) -> Request:
    return Request("PUT", "/x", body=body)


def with_authorization(*values: str, query_string: str = "") -> Request:
    headers = {"Authorization": list(values)}
    return Request(
        "GET", "/x", query_string=query_string, get_header=lambda name: headers.get(name, [])
    )


class BodyTests(TestCase):
    def test_object(self) -> None:
        self.assertEqual(with_body(b'{"a": [1]}').json(), {"a": [1]})

    def test_not_json(self) -> None:
        deep = b"[" * 100_000 + b"]" * 100_000
        for body in (
            b"",
            b"{",
            b'{"a": NaN}',
            b'{"a": Infinity}',
            b'\xef\xbb\xbf{"a": 1}',
            b'{"a": "\\ud800"}',
            b'{"a": "\xed\xa0\x80"}',
            b'{"a": "\xff"}',
            b'{"a": 1} x',
            b'{"a": ' + deep + b"}",
            b'{"a":' * 150 + b"1" + b"}" * 150,
        ):
            self.assertRaises(NotJsonError, with_body(body).json)

    def test_not_an_object(self) -> None:
        for body in (b"[]", b"1", b'"text"', b"null", b"true"):
            self.assertRaises(BadJsonError, with_body(body).json)

    def test_empty_body(self) -> None:
        self.assertEqual(with_body(b"").json_or_empty(), {})
        self.assertRaises(NotJsonError, with_body(b" ").json_or_empty)


class QueryTests(TestCase):
    def test_text(self) -> None:
        request = with_query("a=1&a=2&b=%C3%A9+x&c=&d=a;b")
        self.assertEqual(request.query("a"), "2")
        self.assertEqual(request.query_all("a"), ["1", "2"])
        self.assertEqual(request.query("b"), "é x")
        self.assertEqual(request.query("c"), "")
        self.assertEqual(request.query("d"), "a;b")
        self.assertIsNone(request.query("e", None))
        self.assertRaises(MissingParamError, request.query, "e")

    def test_undecodable(self) -> None:
        for query_string in ("a=%ff", "a=%00", "&".join(f"a{n}=1" for n in range(1000))):
            self.assertRaises(InvalidParamError, with_query(query_string).query, "a")

    def test_integers(self) -> None:
        self.assertEqual(with_query("n=10").query_int("n"), 10)
        self.assertEqual(with_query("").query_int("n", 5), 5)
        self.assertIsNone(with_query("").query_int("n", None))
        self.assertEqual(with_query("n=1000").query_int("n", maximum=100, clamp=True), 100)
        self.assertEqual(with_query("n=-3").query_int("n", minimum=-5), -3)
        self.assertRaises(MissingParamError, with_query("").query_int, "n")
        for text in ("", "x", "1.5", "-1", "1e3", "%D9%A1", "9" * 30, "1_0", "%201"):
            self.assertRaises(InvalidParamError, with_query(f"n={text}").query_int, "n", 5)

    def test_booleans(self) -> None:
        self.assertIs(with_query("b=true").query_bool("b"), True)
        self.assertIs(with_query("b=false").query_bool("b", True), False)
        self.assertIs(with_query("").query_bool("b", True), True)
        self.assertRaises(InvalidParamError, with_query("b=1").query_bool, "b")

    def test_words(self) -> None:
        self.assertEqual(with_query("dir=b").query_enum("dir", ("b", "f")), "b")
        self.assertEqual(with_query("").query_enum("dir", ("b", "f"), "f"), "f")
        self.assertRaises(InvalidParamError, with_query("dir=x").query_enum, "dir", ("b", "f"))

    def test_json(self) -> None:
        self.assertEqual(with_query("filter=%7B%22a%22:1%7D").query_json("filter"), {"a": 1})
        self.assertIsNone(with_query("").query_json("filter"))
        self.assertRaises(MatrixError, with_query("filter=%7B").query_json, "filter")


class AccessTokenTests(TestCase):
    def test_header(self) -> None:
        self.assertEqual(with_authorization("Bearer abc").access_token, "abc")
        self.assertEqual(with_authorization("bearer  abc ").access_token, "abc")

    def test_query(self) -> None:
        self.assertEqual(with_authorization(query_string="access_token=q").access_token, "q")

    def test_header_before_query(self) -> None:
        request = with_authorization("Bearer abc", query_string="access_token=q")
        self.assertEqual(request.access_token, "abc")

    def test_none(self) -> None:
        for values in ((), ("Basic abc",), ("Bearer",), ("Bearer ",), ("Bearer a", "Bearer b")):
            self.assertIsNone(with_authorization(*values).access_token)
