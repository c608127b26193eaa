"""Registering users with the shared secret."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from twisted.trial import unittest

from synapse_lite.app.slctl._users import (
    RegistrationFailedError,
    register_user,
    registration_mac,
)

# Made with `printf 'thisisanonce\0bob\0secret\0notadmin' | openssl sha1 -hmac shared`.
PLAIN_MAC = "448d7bb15825a2362d3f1587a97e9d50718665cc"
ADMIN_MAC = "75e91a1edaa3b18dd58de39de9e8749eb31a5972"


class MacTestCase(unittest.TestCase):
    """The proof that existing tools make, too."""

    def test_known_values(self) -> None:
        for admin, expected in ((False, PLAIN_MAC), (True, ADMIN_MAC)):
            mac = registration_mac("shared", "thisisanonce", "bob", "secret", admin=admin)
            self.assertEqual(mac, expected)


class RegisterTestCase(unittest.TestCase):
    """Against a small HTTP server in a thread."""

    def setUp(self) -> None:
        self.posted: list[Any] = []
        self.status, self.body = 200, b'{"user_id": "@bob:test"}'
        case = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(200, b'{"nonce": "thisisanonce"}')

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                case.posted.append(json.loads(self.rfile.read(length)))
                self._answer(case.status, case.body)

            def _answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                """Nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(self.server.shutdown)
        self.addCleanup(self.server.server_close)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def _register(self) -> str:
        return register_user(self.url, "shared", "bob", "secret", admin=False)

    def test_it_works(self) -> None:
        self.assertEqual(self._register(), "@bob:test")
        self.assertEqual(self.posted[0]["mac"], PLAIN_MAC)
        self.assertIs(self.posted[0]["admin"], False)

    def test_a_refusal_is_passed_on(self) -> None:
        self.status, self.body = 400, b'{"errcode": "M_USER_IN_USE", "error": "Taken"}'
        error = self.assertRaises(RegistrationFailedError, self._register)
        self.assertEqual(error.errcode, "M_USER_IN_USE")
        self.assertIn("Taken", str(error))

    def test_answers_of_something_else(self) -> None:
        for status, body in ((502, b"<html>"), (200, b"[]"), (200, b"nonsense")):
            self.status, self.body = status, body
            self.assertRaises(RegistrationFailedError, self._register)

    def test_nobody_there(self) -> None:
        self.url = "http://127.0.0.1:1"
        self.assertRaises(RegistrationFailedError, self._register)
