"""Presence over real processes, and after two of them were killed."""

from __future__ import annotations

import time
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from synapse_lite.handlers.presence import WRITE_SECONDS

from .client import User
from .deployment import MASTER, Deployment
from .processes import wait_for


class PresenceTests(SynchronousTestCase):
    """Bob syncs at a synchrotron; Alice watches, at it and at a client_reader."""

    def test_who_was_online_is_so_after_a_crash_and_goes_offline_in_time(self) -> None:
        with Deployment(workers=["synchrotron", "client_reader"], nginx=False) as deployment:
            master, synchrotron = deployment.client_of(MASTER), deployment.client_of("synchrotron")
            alice, bob = master.register("alice"), master.register("bob")
            bob.join(alice.create_room())
            watching = alice.through(synchrotron)
            since = watching.sync()["next_batch"]

            bob.through(synchrotron).sync(set_presence="online")
            answer = watching.sync(since, timeout_ms=15_000)
            (event,) = answer["presence"]["events"]
            self.assertEqual(
                (event["sender"], event["content"]["presence"]), (bob.user_id, "online")
            )

            reading = alice.through(deployment.client_of("client_reader"))
            self.assertEqual(self.state(reading, bob), "online")
            time.sleep(WRITE_SECONDS + 1)
            bob.through(synchrotron).sync(set_presence="online")
            deployment.kill("synchrotron")
            deployment.kill(MASTER)
            deployment.start_process(MASTER)
            self.assertEqual(self.state(alice, bob), "online")
            wait_for(lambda: self.state(alice, bob) == "offline", 60, "Bob is offline")
            wait_for(lambda: self.state(reading, bob) == "offline", 5, "the worker knows it")
            deployment.start_process("synchrotron")
            (event,) = watching.sync(answer["next_batch"])["presence"]["events"]
            self.assertEqual(event["content"]["presence"], "offline")

    @staticmethod
    def state(reader: User, user: User) -> Any:
        """The presence of a user as another one reads it."""
        return reader.call("GET", f"/presence/{user.user_id}/status")["presence"]
