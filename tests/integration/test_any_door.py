"""Every process answers everything: itself, or by asking another one. No proxy is in front."""

from __future__ import annotations

import itertools
import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from urllib.parse import quote

import attrs
from twisted.trial.unittest import SynchronousTestCase

from .client import V3, Client, HttpError, Json, User, timeline_of
from .deployment import MASTER, POSTGRES, SQLITE, STANDARD_WORKERS, Deployment
from .processes import free_ports, wait_for

DOORS = (MASTER, *STANDARD_WORKERS)
FORWARDED = re.compile(r"synapse_lite_http_forwarded_requests_total\{.*\} (\d+)")


@attrs.frozen
class RoundRobin(Client):
    """Knocks at the next door with each request, as a plain load balancer does."""

    doors: Iterator[Client] = attrs.field(kw_only=True)

    def exchange(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        return next(self.doors).exchange(method, path, body, headers)


def timeline_texts(answer: Json, room_id: str) -> list[str]:
    """What was said in a room, in an answer of /sync."""
    events = timeline_of(answer, room_id)
    return [event["content"]["body"] for event in events if event["type"] == "m.room.message"]


class AnyDoorTests(SynchronousTestCase):
    """A master and a worker of each kind."""

    def test_through_every_door_on_sqlite(self) -> None:
        self._through_every_door(SQLITE)

    def test_through_every_door_on_postgres(self) -> None:
        self._through_every_door(POSTGRES)

    def test_the_master_is_found_without_configuration(self) -> None:
        """Nobody is where the configuration says; the heartbeats know better."""
        nowhere = f"http://127.0.0.1:{free_ports(1)[0]}"
        with Deployment(
            workers=["event_creator"], nginx=False, extra={"worker_main_http_uri": nowhere}
        ) as deployment:
            self._chat(deployment.client_of("event_creator"), "alice", "bob")

    def test_the_master_goes_and_comes_back(self) -> None:
        with Deployment(workers=["synchrotron"], nginx=False) as deployment:
            door = deployment.client_of("synchrotron")
            alice = door.register("alice")
            deployment.kill(MASTER)
            failure = self.assertRaises(HttpError, alice.create_room)
            self.assertEqual(failure.status, 503)
            self.assertEqual(json.loads(failure.body)["errcode"], "M_UNKNOWN")
            deployment.start_process(MASTER)
            alice.create_room()

    def _through_every_door(self, engine: str) -> None:
        with Deployment(engine, workers=STANDARD_WORKERS, nginx=False) as deployment:
            for door in DOORS:
                self._chat(deployment.client_of(door), f"alice_{door}", f"bob_{door}")
            doors = itertools.cycle([deployment.client_of(door) for door in DOORS])
            self._chat(RoundRobin("", doors=doors), "alice", "bob")
            self._check_what_is_hidden(deployment)
            self._check_address(deployment)
            for worker in STANDARD_WORKERS:
                self.assertGreater(self._forwarded(deployment, worker), 3, worker)

    def _chat(self, client: Client, first: str, second: str) -> None:
        """Register, create, join, send, sync, read, all by one client."""
        alice, bob = client.register(first), client.register(second)
        room_id = alice.create_room(name="A / B")
        bob.join(room_id)
        since = self._synced(bob, room_id)
        alice.call("PUT", f"/profile/{quote(alice.user_id)}/displayname", {"displayname": "Ä/%2F"})
        name = alice.call("GET", f"/profile/{quote(alice.user_id)}/displayname")["displayname"]
        self.assertEqual(name, "Ä/%2F")
        seen: list[Json] = []
        waiting = threading.Thread(
            target=lambda: seen.extend(self._until_said(bob, room_id, since, "hello"))
        )
        waiting.start()
        time.sleep(0.3)
        event_id = alice.send(room_id, "hello", "txn/1?")
        self.assertEqual(alice.send(room_id, "hello", "txn/1?"), event_id)
        waiting.join(30)
        self.assertEqual([event["event_id"] for event in seen], [event_id])
        wait_for(
            lambda: [event["event_id"] for event in bob.messages(room_id)] == [event_id],
            10,
            "the message can be read",
        )
        missing = self.assertRaises(HttpError, alice.call, "GET", "/nothing/at%2Fall")
        self.assertEqual(missing.status, 404)

    def _synced(self, user: User, room_id: str) -> str:
        """Sync until the room is there. Returns the position."""
        answer: Json = {}

        def is_there() -> bool:
            nonlocal answer
            answer = user.sync()
            return room_id in answer.get("rooms", {}).get("join", {})

        wait_for(is_there, 10, "the room is in /sync")
        position: str = answer["next_batch"]
        return position

    def _until_said(self, user: User, room_id: str, since: str, text: str) -> list[Json]:
        """Wait in /sync until somebody says it; the events with that text."""
        while True:
            answer = user.sync(since, timeout_ms=20_000)
            since = answer["next_batch"]
            if text in timeline_texts(answer, room_id):
                events = timeline_of(answer, room_id)
                return [event for event in events if event["content"].get("body") == text]

    def _check_what_is_hidden(self, deployment: Deployment) -> None:
        """What processes say to each other is not for clients, at no door."""
        for worker in STANDARD_WORKERS:
            client = deployment.client_of(worker)
            status, _ = client.exchange("POST", "/_synapse/replication/send_event", {})
            self.assertEqual(status, 404, worker)

    def _check_address(self, deployment: Deployment) -> None:
        """The master writes down the address that the worker has seen, however it came."""
        status, _ = deployment.client_of("synchrotron").exchange(
            "GET", f"{V3}/login?door=marked", headers={"X-Forwarded-For": "192.0.2.77"}
        )
        self.assertEqual(status, 200)
        lines = deployment.log_text(MASTER).splitlines()
        (line,) = [line for line in lines if "door=marked" in line]
        self.assertIn("192.0.2.77 - {", line)

    def _forwarded(self, deployment: Deployment, worker: str) -> int:
        _, body = deployment.client_of(worker).exchange("GET", "/_synapse/metrics")
        return sum(int(float(count)) for count in FORWARDED.findall(body.decode()))
