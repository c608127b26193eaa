from __future__ import annotations

import hashlib
import hmac

from synapse_lite.replication.authentication import digest, is_right, make_nonce
from synapse_lite.replication.master import MAX_UNAUTHENTICATED
from synapse_lite.replication.protocol import MAX_UNAUTHENTICATED_LINE_BYTES
from synapse_lite.streams import RECEIPTS

from .support import Client, ReplicationCase, receipt


class SecretTests(ReplicationCase):
    secret = "a long secret"

    def challenged(self) -> tuple[Client, str]:
        client = self.client()
        server, version, challenge = client.heard()
        self.assertEqual((server, version), ("SERVER test", "VERSION 1"))
        word, _, nonce = challenge.partition(" ")
        self.assertEqual(word, "CHALLENGE")
        return client, nonce

    def test_the_proof_is_an_hmac_over_nonce_server_and_worker(self) -> None:
        client, nonce = self.challenged()
        proof = hmac.new(
            b"a long secret", f"{nonce}\ntest\nworker1".encode(), hashlib.sha256
        ).hexdigest()
        client.say(f"AUTH worker1 {proof}")
        self.assertEqual(client.heard(), [f"PING {self.clock.time_ms()}"])
        client.say("NAME worker1", "REPLICATE receipts NOW")
        self.assertEqual(client.heard(), ["POSITION receipts 0"])
        self.assertEqual(client.connection.peer_name, "worker1")

    def test_a_wrong_proof_closes(self) -> None:
        for proof in ("00", "é", digest("another secret", "x", "test", "worker1")):
            client, _ = self.challenged()
            with self.logged():
                client.say(f"AUTH worker1 {proof}", "REPLICATE receipts NOW")
            self.assertEqual(client.heard(), ["ERROR Authentication failed"])
            self.assertTrue(client.is_closed)

    def test_a_proof_serves_one_connection_one_name_and_one_server(self) -> None:
        first, nonce = self.challenged()
        second, other_nonce = self.challenged()
        assert self.secret is not None
        for client, proof in (
            (first, digest(self.secret, other_nonce, "test", "worker1")),
            (second, digest(self.secret, other_nonce, "test", "worker2")),
        ):
            with self.logged():
                client.say(f"AUTH worker1 {proof}")
            self.assertTrue(client.is_closed)
        third, nonce = self.challenged()
        with self.logged():
            third.say(f"AUTH worker1 {digest(self.secret, nonce, 'test2', 'worker1')}")
        self.assertTrue(third.is_closed)

    def test_nothing_else_is_accepted_before(self) -> None:
        for line in (
            "NAME worker1",
            "PING 1",
            "VERSION 1",
            "REPLICATE ALL NOW",
            "USER_SYNC @a:test start 1",
            "ERROR tired",
        ):
            client, _ = self.challenged()
            with self.logged():
                client.say(line)
            self.assertTrue(client.is_closed, line)
            self.assertEqual(len(client.heard()), 1)
        self.assertEqual(self.commands.said, [])

    def test_nothing_is_served_before(self) -> None:
        client, _ = self.challenged()
        self.now(self.master.add([receipt(1)]))
        self.publisher.sync("x")
        self.advance(9)
        self.assertEqual(client.heard(), [])

    def test_who_does_not_answer_is_cut(self) -> None:
        client, _ = self.challenged()
        self.advance(9)
        self.assertFalse(client.is_closed)
        with self.logged("WARNING"):
            self.advance(1)
        self.assertTrue(client.is_closed)

    def test_lines_are_short_before(self) -> None:
        client, _ = self.challenged()
        with self.logged():
            client.connection.dataReceived(b"AUTH " + b"x" * MAX_UNAUTHENTICATED_LINE_BYTES)
        self.assertTrue(client.is_closed)

    def test_who_is_let_in_may_send_long_lines(self) -> None:
        client, nonce = self.challenged()
        assert self.secret is not None
        client.say(f"AUTH worker1 {digest(self.secret, nonce, 'test', 'worker1')}")
        client.say("PING " + "x" * 100_000)
        self.assertFalse(client.is_closed)

    def test_a_proved_name_cannot_be_changed(self) -> None:
        client, nonce = self.challenged()
        assert self.secret is not None
        client.say(f"AUTH worker1 {digest(self.secret, nonce, 'test', 'worker1')}")
        with self.logged():
            client.say("NAME worker2")
        self.assertTrue(client.is_closed)

    def test_connections_in_the_handshake_are_limited(self) -> None:
        clients = [self.challenged()[0] for _ in range(MAX_UNAUTHENTICATED)]
        with self.logged():
            one_more = self.client()
        self.assertEqual(one_more.heard(), ["ERROR Too many connections"])
        self.assertTrue(one_more.is_closed)
        one_more.gone()
        clients[0].gone()
        self.challenged()

    def test_a_worker_with_the_secret_follows(self) -> None:
        store, follower, link = self.worker()
        self.now(self.master.add([receipt(1)]))
        link.flush()
        self.assertEqual(store.applied, [(1, "$event1")])
        self.assertTrue(follower.is_connected)

    def test_a_worker_with_another_secret_does_not(self) -> None:
        with self.logged() as logged:
            store, follower, link = self.worker(secret="wrong secret")
            self.now(self.master.add([receipt(1)]))
            link.flush()
        self.assertFalse(follower.is_connected)
        self.assertEqual(store.applied, [])
        self.assertIn("Authentication failed", "".join(logged.output))
        self.assertNotIn("secret", "".join(logged.output).replace("worker_replication_secret", ""))


class NoSecretTests(ReplicationCase):
    def test_a_proof_that_nobody_asked_for_is_refused(self) -> None:
        client = self.client()
        with self.logged():
            client.say("AUTH worker1 00")
        self.assertTrue(client.is_closed)

    def test_a_worker_that_has_a_secret_follows_a_master_without(self) -> None:
        store, _, _ = self.worker(secret="a secret")
        self.assertEqual(store.token_of(RECEIPTS), 0)
        self.assertEqual(len(self.publisher.connections), 1)


class DigestTests(ReplicationCase):
    def test_fields_cannot_be_shifted_into_each_other(self) -> None:
        self.assertNotEqual(digest("s", "ab", "c", "d"), digest("s", "a", "bc", "d"))

    def test_nonces_differ_and_comparison_takes_any_text(self) -> None:
        self.assertNotEqual(make_nonce(), make_nonce())
        self.assertTrue(is_right("é", "é"))
        self.assertFalse(is_right("é", "e"))
