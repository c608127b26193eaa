"""The link between master and workers: who may listen, what is said, and coming back to it."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from twisted.trial.unittest import SynchronousTestCase

from synapse_lite.replication.authentication import digest

from .client import Client, timeline_of
from .deployment import (
    MASTER,
    POSTGRES,
    SERVER_NAME,
    SQLITE,
    START_SECONDS,
    Deployment,
)

FROZEN_SECONDS = 60.0
MESSAGES_MEANWHILE = 30


class Line:
    """A connection to the master's replication port, as someone with `nc` has it."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._reader = connection.makefile("r", encoding="utf-8", newline="\n")

    def say(self, line: str) -> None:
        """Send a line."""
        self._connection.sendall(f"{line}\n".encode())

    def hear(self) -> str:
        """The next line; empty when the master has closed the connection."""
        return self._reader.readline().rstrip("\n")

    def hear_until(self, start: str) -> list[str]:
        """The lines up to the first that starts like this."""
        heard: list[str] = []
        while not heard or not heard[-1].startswith(start):
            heard.append(self.hear())
            assert heard[-1], f"closed before {start!r} was heard: {heard}"
        return heard

    def hear_all(self) -> list[str]:
        """All lines until the master closes the connection."""
        return list(iter(self.hear, ""))

    def greet(self) -> str:
        """Hear the greeting. Returns the nonce of the challenge."""
        assert self.hear() == f"SERVER {SERVER_NAME}"
        assert self.hear().startswith("VERSION ")
        word, _, nonce = self.hear().partition(" ")
        assert word == "CHALLENGE" and nonce, word
        return nonce


@contextmanager
def connected(deployment: Deployment) -> Iterator[Line]:
    """A connection to the master's replication port."""
    address = ("127.0.0.1", deployment.replication_port)
    with socket.create_connection(address, timeout=15) as connection:
        yield Line(connection)


class AuthenticationTests(SynchronousTestCase):
    """Nobody without the secret learns anything."""

    def test_only_who_knows_the_secret_is_served(self) -> None:
        with Deployment(workers=["event_creator"], nginx=False) as deployment:
            self._ask_without_authentication(deployment)
            self._ask_with_a_wrong_proof(deployment)
            self._ask_over_http(deployment)
            self._listen_in(deployment)

    def _ask_without_authentication(self, deployment: Deployment) -> None:
        with connected(deployment) as line:
            line.greet()
            line.say("REPLICATE ALL NOW")
            heard = line.hear_all()
        self.assertEqual([said.split(" ")[0] for said in heard], ["ERROR"])

    def _ask_with_a_wrong_proof(self, deployment: Deployment) -> None:
        with connected(deployment) as line:
            nonce = line.greet()
            line.say(f"AUTH eve {digest('guessed', nonce, SERVER_NAME, 'eve')}")
            line.say("REPLICATE ALL NOW")
            heard = line.hear_all()
        self.assertEqual(heard, ["ERROR Authentication failed"])

    def _ask_over_http(self, deployment: Deployment) -> None:
        client = Client(f"http://127.0.0.1:{deployment.replication_http_port}")
        path = "/_synapse/replication/send_event"
        for headers in ({}, {"Authorization": "Bearer guessed"}):
            status, body = client.exchange("POST", path, {}, headers)
            self.assertEqual(status, 401, body)
        known = {"Authorization": f"Bearer {deployment.replication_secret}"}
        self.assertEqual(client.exchange("POST", path, {}, known)[0], 400)
        # The endpoint is not there at all where clients come in.
        for name in (MASTER, "event_creator"):
            status, body = deployment.client_of(name).exchange("POST", path, {}, known)
            self.assertEqual(status, 404, body)

    def _listen_in(self, deployment: Deployment) -> None:
        """Follow the events, by hand, with the right proof."""
        alice = deployment.client.register("alice")
        room_id = alice.create_room()
        with connected(deployment) as line:
            proof = digest(deployment.replication_secret, line.greet(), SERVER_NAME, "by_hand")
            line.say(f"AUTH by_hand {proof}")
            self.assertRegex(line.hear(), r"^PING \d+$")
            line.say("NAME by_hand")
            line.say("REPLICATE events NOW")
            (position,) = line.hear_until("POSITION events ")[-1:]
            event_id = alice.send(room_id, "Can you hear me?", "t1")
            (heard,) = line.hear_until("RDATA events ")[-1:]
        _, _, token, row = heard.split(" ", 3)
        self.assertEqual(int(token), int(position.split(" ")[2]) + 1)
        self.assertIn(event_id, json.loads(row))


class CatchingUpTests(SynchronousTestCase):
    """Workers that were away, or early."""

    def test_a_worker_that_stood_still_for_a_minute_catches_up(self) -> None:
        with Deployment(workers=["synchrotron"], nginx=False) as deployment:
            alice = deployment.client.register("alice")
            room_id = alice.create_room()
            at_worker = alice.through(deployment.client_of("synchrotron"))
            since = at_worker.sync()["next_batch"]

            deployment.freeze("synchrotron")
            expected = []
            for number in range(MESSAGES_MEANWHILE):
                expected.append(alice.send(room_id, f"message {number}", f"t{number}"))
                time.sleep(FROZEN_SECONDS / MESSAGES_MEANWHILE)
            deployment.thaw("synchrotron")

            seen: list[str] = []
            deadline = time.monotonic() + START_SECONDS
            while len(seen) < len(expected) and time.monotonic() < deadline:
                answer = at_worker.sync(since, timeout_ms=1000)
                seen += [event["event_id"] for event in timeline_of(answer, room_id)]
                since = answer["next_batch"]
            self.assertEqual(seen, expected)
            self.assertEqual(timeline_of(at_worker.sync(since), room_id), [])
            # It follows again, and not only what it missed.
            last = alice.send(room_id, "the last", "last")
            answer = at_worker.sync(since, timeout_ms=5000)
            self.assertEqual([e["event_id"] for e in timeline_of(answer, room_id)], [last])

    def test_a_worker_may_be_started_before_its_master_on_sqlite(self) -> None:
        self._start_worker_first(SQLITE)

    def test_a_worker_may_be_started_before_its_master_on_postgres(self) -> None:
        self._start_worker_first(POSTGRES)

    def _start_worker_first(self, engine: str) -> None:
        with Deployment(
            engine, workers=["event_creator"], nginx=False, started=False
        ) as deployment:
            worker = deployment.processes["event_creator"]
            worker.start()
            time.sleep(2)
            self.assertIsNone(worker.running.poll(), "the worker did not wait")
            self.assertFalse(deployment.is_healthy("event_creator"))
            deployment.start_process(MASTER)
            deployment.wait_until_healthy("event_creator")
            alice = deployment.client.register("alice")
            room_id = alice.create_room()
            at_worker = alice.through(deployment.client_of("event_creator"))
            event_id = at_worker.send(room_id, "Good morning", "t1")
            (message,) = alice.messages(room_id)
            self.assertEqual(message["event_id"], event_id)
