"""Every kind of process builds on an empty database and constructs each servlet that it mounts."""

from __future__ import annotations

import itertools

from twisted.trial.unittest import TestCase

from synapse_lite.app._process import combine
from synapse_lite.app.table import WORKERS
from tests.harness.homeserver import make_master, make_worker


class TableTestCase(TestCase):
    """The table of processes."""

    def test_the_master(self) -> None:
        answer = make_master().request("GET", "/_matrix/client/versions")
        self.assertEqual(answer.status, 200)

    def test_each_worker(self) -> None:
        for worker in WORKERS:
            answer = make_worker(worker, make_master()).request("GET", "/health")
            self.assertEqual((worker.name, answer.status), (worker.name, 200))

    def test_roles_combine(self) -> None:
        for number in (1, 2, len(WORKERS)):
            for roles in itertools.combinations(WORKERS, number):
                combined = combine("generic_worker", "Several.", roles)
                answer = make_worker(combined, make_master()).request("GET", "/health")
                self.assertEqual(answer.status, 200)
                self.assertEqual(combined.kinds, tuple(role.name for role in roles))
