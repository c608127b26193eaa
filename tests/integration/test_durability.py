"""Processes are killed while people talk: what was acknowledged is there, once, for everybody."""

from __future__ import annotations

import os
import random
import threading
import time

from twisted.trial.unittest import SynchronousTestCase

from .client import Follower, User, send_until_acknowledged
from .deployment import MASTER, POSTGRES, SQLITE, STANDARD_WORKERS, Deployment
from .processes import wait_for

SEED = int(os.environ.get("SYNAPSE_LITE_TEST_SEED", "20001"))
SENDERS = 4
MESSAGES_EACH = 50
VICTIMS = (MASTER, "event_creator", "synchrotron")

PAUSE_SECONDS = 0.05
DELIVERY_SECONDS = 30


class Sender(threading.Thread):
    """Sends messages one after the other, each until it is acknowledged."""

    def __init__(self, user: User, room_id: str) -> None:
        super().__init__(daemon=True)
        self.acknowledged: list[str] = []
        self.repeated = 0
        self.error: Exception | None = None
        self._user = user
        self._room_id = room_id

    def run(self) -> None:
        """Send them all."""
        try:
            for number in range(MESSAGES_EACH):
                event_id, attempts = send_until_acknowledged(
                    self._user, self._room_id, f"message {number}", f"t{number}"
                )
                self.acknowledged.append(event_id)
                self.repeated += attempts > 1
                time.sleep(PAUSE_SECONDS)
        except Exception as error:
            self.error = error


class DurabilityTests(SynchronousTestCase):
    """SIGKILL at random moments."""

    def test_nothing_is_lost_or_doubled_on_sqlite(self) -> None:
        self._kill_while_sending(SQLITE)

    def test_nothing_is_lost_or_doubled_on_postgres(self) -> None:
        self._kill_while_sending(POSTGRES)

    def _kill_while_sending(self, engine: str) -> None:
        with Deployment(engine, workers=STANDARD_WORKERS) as deployment:
            users = [deployment.client.register(f"user{number}") for number in range(SENDERS)]
            room_id = users[0].create_room()
            for user in users[1:]:
                user.join(room_id)
            reader = deployment.client.register("reader")
            reader.join(room_id)
            follower = Follower(reader, room_id, reader.sync()["next_batch"])
            self.addCleanup(follower.stop)
            senders = [Sender(user, room_id) for user in users]
            for sender in senders:
                sender.start()
            killed = self._kill_each(deployment, senders, random.Random(SEED))
            for sender in senders:
                sender.join(60)
                if sender.error is not None:
                    raise sender.error
                self.assertEqual(len(sender.acknowledged), MESSAGES_EACH)
            print(
                f"{engine}: killed {', '.join(killed)} messages;"
                f" {sum(sender.repeated for sender in senders)} messages were sent again;"
                f" {follower.failed_rounds} rounds of /sync failed"
            )
            self._check(deployment, senders, follower, users, room_id)

    def _kill_each(
        self, deployment: Deployment, senders: list[Sender], dice: random.Random
    ) -> list[str]:
        """Kill each victim once, in an order and at moments that the seed chooses, and start it
        again at once. The last is killed while there is still much to send."""

        def acknowledged() -> int:
            return sum(len(sender.acknowledged) for sender in senders)

        order = dice.sample(VICTIMS, len(VICTIMS))
        part = SENDERS * MESSAGES_EACH // (len(order) + 1)
        moments = [dice.randrange(number * part, (number + 1) * part) for number in range(3)]
        told = []
        for victim, moment in zip(order, moments, strict=True):
            wait_for(lambda least=moment: acknowledged() >= least, 60, f"{moment} messages")
            time.sleep(dice.uniform(0, PAUSE_SECONDS))
            deployment.kill(victim)
            deployment.processes[victim].start()
            told.append(f"{victim} after {acknowledged()}")
        for victim in order:
            deployment.wait_until_healthy(victim)
        return told

    def _check(
        self,
        deployment: Deployment,
        senders: list[Sender],
        follower: Follower,
        users: list[User],
        room_id: str,
    ) -> None:
        acknowledged = [event_id for sender in senders for event_id in sender.acknowledged]
        self.assertEqual(len(set(acknowledged)), SENDERS * MESSAGES_EACH)
        in_room = [event["event_id"] for event in users[0].messages(room_id)]
        self.assertEqual(sorted(in_room), sorted(acknowledged))
        wait_for(
            lambda: len(follower.event_ids) >= len(in_room) or follower.error is not None,
            DELIVERY_SECONDS,
            "the syncing client has everything",
        )
        follower.stop()
        # /sync goes by arrival and /messages by depth, so only the first is the order of sending.
        self.assertEqual(sorted(follower.event_ids), sorted(in_room))
        for sender in senders:
            own = set(sender.acknowledged)
            self.assertEqual([e for e in follower.event_ids if e in own], sender.acknowledged)
        self._repeat_at_the_other_process(deployment, users[0], room_id, senders[0])

    def _repeat_at_the_other_process(
        self, deployment: Deployment, user: User, room_id: str, sender: Sender
    ) -> None:
        """A transaction id means the same event whoever is asked."""
        for name in (MASTER, "event_creator"):
            at_process = user.through(deployment.client_of(name))
            for number in (0, MESSAGES_EACH // 2, MESSAGES_EACH - 1):
                again = at_process.send(room_id, f"message {number}", f"t{number}")
                self.assertEqual(again, sender.acknowledged[number])
        event_id = user.through(deployment.client_of("event_creator")).send(room_id, "new", "n1")
        at_master = user.through(deployment.client_of(MASTER))
        self.assertEqual(at_master.send(room_id, "new", "n1"), event_id)
