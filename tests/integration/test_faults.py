"""A short round of each kind of fault; `python -m tests.integration.faults` runs long ones."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from .deployment import POSTGRES, SQLITE
from .faults.round import Plan, Round
from .faults.scenarios import SCENARIOS

SEED = int(os.environ.get("SYNAPSE_LITE_TEST_SEED", "20001"))
SENDS = 160
SECONDS = 5.0

_BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


class FaultsTests(SynchronousTestCase):
    """Nothing that was acknowledged is lost or comes twice."""

    def run_round(self, scenario: str, engine: str, number: int = 0) -> None:
        """One round; its number says, for one, which process is killed first."""
        plan = Plan(_BY_NAME[scenario], engine, SEED, number, SENDS, SECONDS)
        Round(plan, print).run()

    def test_any_process_is_killed_on_sqlite(self) -> None:
        self.run_round("kill_any", SQLITE)

    def test_any_process_is_killed_on_postgres(self) -> None:
        self.run_round("kill_any", POSTGRES, 1)

    def test_the_master_is_killed_within_a_commit_on_sqlite(self) -> None:
        self.run_round("group_commit", SQLITE)

    def test_the_master_is_killed_within_a_commit_on_postgres(self) -> None:
        self.run_round("group_commit", POSTGRES)

    def test_a_worker_is_cut_from_the_master(self) -> None:
        self.run_round("cut_worker", SQLITE)

    def test_the_disk_is_full(self) -> None:
        self.run_round("full_disk", SQLITE)

    def test_postgres_is_lost_and_returns(self) -> None:
        self.run_round("postgres_lost", POSTGRES)
