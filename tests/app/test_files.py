"""Keys, and what systemd is told."""

from __future__ import annotations

import os
import socket
import stat

from twisted.trial import unittest

from synapse_lite.app._files import StartError, load_signing_key, notify_systemd
from synapse_lite.config import Config, config_from_dict
from synapse_lite.crypto.signing import generate_signing_key, write_signing_key


class SigningKeyTestCase(unittest.TestCase):
    """The key of a server."""

    def setUp(self) -> None:
        self.path = os.path.abspath(self.mktemp())

    def _config(self, **options: str) -> Config:
        return config_from_dict({"server_name": "test", "signing_key_path": self.path, **options})

    def _write(self, text: str) -> None:
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(text)

    def test_made_once_and_read_again(self) -> None:
        made = load_signing_key(self._config(), create=True)
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o600)
        read = load_signing_key(self._config(), create=True)
        self.assertEqual(write_signing_key(read), write_signing_key(made))

    def test_only_the_master_makes_one(self) -> None:
        self.assertRaises(StartError, load_signing_key, self._config(), create=False)
        self.assertFalse(os.path.exists(self.path))

    def test_what_is_no_key_is_never_overwritten(self) -> None:
        for text in ("", "nonsense\n", "ed25519 a_1 short\n", "ed25519 a_é x\n"):
            self._write(text)
            self.assertRaises(StartError, load_signing_key, self._config(), create=True)
            with open(self.path, encoding="utf-8") as file:
                self.assertEqual(file.read(), text)

    def test_a_key_in_the_configuration_itself(self) -> None:
        key = write_signing_key(generate_signing_key("own"))
        found = load_signing_key(self._config(signing_key=key), create=True)
        self.assertEqual(write_signing_key(found), key)
        self.assertFalse(os.path.exists(self.path))


class NotifySystemdTestCase(unittest.TestCase):
    """Messages to the socket that systemd names."""

    def test_it_is_told(self) -> None:
        # The path of a socket may have about a hundred characters.
        path = os.path.relpath(self.mktemp())
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
            receiver.bind(path)
            self.patch(os, "environ", {**os.environ, "NOTIFY_SOCKET": path})
            notify_systemd("READY=1")
            self.assertEqual(receiver.recv(100), b"READY=1")

    def test_a_socket_that_is_gone_stops_nobody(self) -> None:
        self.patch(os, "environ", {**os.environ, "NOTIFY_SOCKET": "/nonexistent/socket"})
        with self.assertLogs("synapse_lite.app._files", "WARNING"):
            notify_systemd("READY=1")
