"""What clients need for calls."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any, ClassVar

from twisted.trial.unittest import TestCase

from synapse_lite.app.kinds.client_reader import CLIENT_READER
from synapse_lite.config._problems import ConfigError
from tests.harness.homeserver import START_SECONDS, make_config, make_master, make_worker

URIS = ["turn:turn.example.com?transport=udp", "turn:turn.example.com?transport=tcp"]


class TurnCase(TestCase):
    overrides: ClassVar[dict[str, Any]] = {}

    def setUp(self) -> None:
        self.master = make_master(self.overrides)
        self.alice = self.master.register("alice")

    def ask(self, token: str | None = None) -> Any:
        return self.master.request(
            "GET", "voip/turnServer", access_token=token or self.alice, judged=False
        )


class NoTurnTests(TurnCase):
    def test_without_a_server_there_is_nothing_to_tell(self) -> None:
        self.assertEqual(self.ask().json, {})


class SharedSecretTests(TurnCase):
    overrides: ClassVar[dict[str, Any]] = {
        "turn_uris": URIS,
        "turn_shared_secret": "sesame",
        "turn_user_lifetime": "2h",
        "turn_allow_guests": False,
        "allow_guest_access": True,
    }

    def test_the_turn_server_can_check_the_password(self) -> None:
        answer = self.master.ok("GET", "voip/turnServer", None, self.alice)
        username = f"{START_SECONDS + 7200}:@alice:test"
        digest = hmac.new(b"sesame", username.encode(), hashlib.sha1).digest()
        expected = {
            "username": username,
            "password": base64.b64encode(digest).decode(),
            "ttl": 7200,
            "uris": URIS,
        }
        self.assertEqual(answer, expected)

    def test_a_worker_gives_the_same_answer(self) -> None:
        worker = make_worker(CLIENT_READER, self.master)
        answer = worker.request("GET", "voip/turnServer", access_token=self.alice)
        self.assertEqual(answer.body, self.ask().body)

    def test_guests_where_they_are_not_let(self) -> None:
        guest = self.master.ok("POST", "register?kind=guest", {})["access_token"]
        answer = self.ask(guest)
        self.assertEqual((answer.status, answer.json["errcode"]), (403, "M_GUEST_ACCESS_FORBIDDEN"))


class SharedNameTests(TurnCase):
    overrides: ClassVar[dict[str, Any]] = {
        "turn_uris": URIS,
        "turn_username": "matrix",
        "turn_password": "open",
        "allow_guest_access": True,
    }

    def test_all_have_the_same_name(self) -> None:
        expected = {"username": "matrix", "password": "open", "ttl": 3600, "uris": URIS}
        self.assertEqual(self.ask().json, expected)
        guest = self.master.ok("POST", "register?kind=guest", {})["access_token"]
        self.assertEqual(self.ask(guest).json, expected)

    def test_a_name_needs_a_password(self) -> None:
        with self.assertRaises(ConfigError):
            make_config({"turn_uris": URIS, "turn_username": "matrix"})


class NoCredentialsTests(TurnCase):
    overrides: ClassVar[dict[str, Any]] = {"turn_uris": URIS}

    def test_addresses_alone_are_of_no_use(self) -> None:
        self.assertEqual(self.ask().json, {})
