"""Identifiers."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from synapse_lite.types.ids import (
    InvalidIdError,
    check_room_id,
    domain_of,
    is_server_name,
    is_strict_localpart,
    is_user_id,
    localpart_of,
    parse_room_alias,
    parse_user_id,
)


class ServerNameTestCase(TestCase):
    def test_server_names(self) -> None:
        for name in (
            "matrix.org",
            "matrix.org:8888",
            "1.2.3.4",
            "1.2.3.4:1234",
            "[1234:5678::abcd]",
            "[1234:5678::abcd]:5678",
            "[::ffff:1.2.3.4]",
            "localhost",
            "A-b.example",
        ):
            with self.subTest(name=name):
                self.assertTrue(is_server_name(name))

    def test_no_server_names(self) -> None:
        for name in (
            "",
            "matrix.org:",
            "matrix.org:123456",
            "matrix.org:port",
            "matrix_org",
            "matrix.org\n",
            "matrix org",
            "matrix.org/path",
            "user@matrix.org",
            "[1234:5678::abcd",
            "[]",
            "::1",
            "bücher.example",
            "a" * 256,
        ):
            with self.subTest(name=name):
                self.assertFalse(is_server_name(name))


class UserIdTestCase(TestCase):
    def test_parse(self) -> None:
        user = parse_user_id("@alice:example.com:8448")
        self.assertEqual((user.localpart, user.domain), ("alice", "example.com:8448"))

    def test_historical_localparts(self) -> None:
        for text in ("@Alice:b", "@al ice:b", "@älice:b", "@:b"):
            self.assertTrue(is_user_id(text), text)

    def test_longest(self) -> None:
        self.assertTrue(is_user_id("@" + "a" * 252 + ":b"))
        self.assertFalse(is_user_id("@" + "a" * 253 + ":b"))
        self.assertFalse(is_user_id("@" + "ä" * 127 + ":b"), "the limit is in bytes")

    def test_no_user_ids(self) -> None:
        for text in ("alice:b", "@alice", "@alice:", "#alice:b", "", "@a\0:b", None, 3, ["@a:b"]):
            with self.subTest(text=text):
                self.assertFalse(is_user_id(text))
                with self.assertRaises(InvalidIdError):
                    parse_user_id(text)

    def test_localparts_of_new_users(self) -> None:
        for localpart in ("alice", "a.b_c=d/e+f-0"):
            self.assertTrue(is_strict_localpart(localpart), localpart)
        for localpart in ("", "Alice", "al ice", "älice", "alice\n", "a:b"):
            self.assertFalse(is_strict_localpart(localpart), localpart)


class OtherIdsTestCase(TestCase):
    def test_alias(self) -> None:
        alias = parse_room_alias("#a room:example.com")
        self.assertEqual((alias.localpart, alias.domain), ("a room", "example.com"))
        for text in ("#:example.com", "#room", "@room:example.com", "#ro\0om:example.com"):
            with self.subTest(text=text), self.assertRaises(InvalidIdError):
                parse_room_alias(text)

    def test_room_id(self) -> None:
        for text in ("!abc:example.com", "!31hneApxJ_1o-63DmFrpeqnkFfWppnzWso1JvH3ogLM"):
            self.assertEqual(check_room_id(text), text)
        for text in ("", "!", "abc:example.com", "!" + "a" * 255, "!a\0b:c", None, 7):
            with self.subTest(text=text), self.assertRaises(InvalidIdError):
                check_room_id(text)

    def test_parts(self) -> None:
        self.assertEqual(domain_of("@alice:example.com:8448"), "example.com:8448")
        self.assertEqual(localpart_of("@alice:example.com:8448"), "alice")
        self.assertEqual(domain_of("!31hneApxJ"), "")
