"""The master is killed while rooms are upgraded: each room is replaced once, and completely."""

from __future__ import annotations

import os
import random
import threading
import time
from urllib.parse import quote

from twisted.trial.unittest import SynchronousTestCase

from .client import NO_ANSWER, RETRIED, HttpError, Json, User
from .deployment import MASTER, POSTGRES, SQLITE, Deployment

SEED = int(os.environ.get("SYNAPSE_LITE_TEST_SEED", "20001"))
ROOMS = 12
KILLS = 3
VERSION = "11"


class Upgrader(threading.Thread):
    """Upgrades rooms one after the other, each until there is an answer."""

    def __init__(self, user: User, room_ids: list[str]) -> None:
        super().__init__(daemon=True)
        self.replacements: dict[str, str] = {}
        self.repeated = 0
        self.error: Exception | None = None
        self._user = user
        self._room_ids = room_ids

    def run(self) -> None:
        """Upgrade them all."""
        try:
            for room_id in self._room_ids:
                self.replacements[room_id] = self._upgrade(room_id)
        except Exception as error:
            self.error = error

    def _upgrade(self, room_id: str) -> str:
        for _ in range(300):
            try:
                path = f"/rooms/{quote(room_id)}/upgrade"
                answer = self._user.call("POST", path, {"new_version": VERSION})
                replacement: str = answer["replacement_room"]
                return replacement
            except NO_ANSWER:
                pass
            except HttpError as error:
                if error.status not in RETRIED:
                    raise
            self.repeated += 1
            time.sleep(0.1)
        raise AssertionError("no answer to an upgrade")


class RoomUpgradeTests(SynchronousTestCase):
    """SIGKILL at random moments."""

    def test_rooms_are_replaced_once_on_sqlite(self) -> None:
        self._kill_while_upgrading(SQLITE)

    def test_rooms_are_replaced_once_on_postgres(self) -> None:
        self._kill_while_upgrading(POSTGRES)

    def _kill_while_upgrading(self, engine: str) -> None:
        dice = random.Random(SEED)
        with Deployment(engine, nginx=False) as deployment:
            user = deployment.client_of(MASTER).register("alice")
            rooms = [
                user.create_room(
                    name=f"Room {number}", room_alias_name=f"room{number}", visibility="public"
                )
                for number in range(ROOMS)
            ]
            upgrader = Upgrader(user, rooms)
            upgrader.start()
            for number in range(1, KILLS + 1):
                while len(upgrader.replacements) < number * ROOMS // (KILLS + 1):
                    self.assertIsNone(upgrader.error)
                    time.sleep(0.002)
                time.sleep(dice.uniform(0, 0.05))
                deployment.kill(MASTER)
                deployment.processes[MASTER].start()
                deployment.wait_until_healthy(MASTER)
            upgrader.join(120)
            if upgrader.error is not None:
                raise upgrader.error
            print(f"{engine}: {upgrader.repeated} requests were sent again")
            self._check(user, upgrader.replacements)

    def _check(self, user: User, replacements: dict[str, str]) -> None:
        self.assertEqual(len(set(replacements.values())), ROOMS)
        joined = set(user.call("GET", "/joined_rooms")["joined_rooms"])
        self.assertEqual(joined, {*replacements, *replacements.values()})
        for number, (old, new) in enumerate(replacements.items()):
            tombstones = [e for e in user.events(old) if e["type"] == "m.room.tombstone"]
            self.assertEqual([e["content"]["replacement_room"] for e in tombstones], [new])
            create = _state(user, new, "m.room.create")
            expected = {"room_id": old, "event_id": tombstones[0]["event_id"]}
            self.assertEqual(create["predecessor"], expected)
            self.assertEqual(_state(user, new, "m.room.name"), {"name": f"Room {number}"})
            self.assertEqual(_state(user, old, "m.room.power_levels")["events_default"], 50)
            (alias,) = user.call("GET", f"/rooms/{quote(new)}/aliases")["aliases"]
            self.assertEqual(_state(user, new, "m.room.canonical_alias"), {"alias": alias})
        listed = user.call("GET", "/publicRooms")["chunk"]
        self.assertEqual({room["room_id"] for room in listed}, set(replacements.values()))


def _state(user: User, room_id: str, event_type: str) -> Json:
    return user.call("GET", f"/rooms/{quote(room_id)}/state/{event_type}/")
