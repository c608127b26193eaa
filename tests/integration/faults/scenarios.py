"""What can be broken. Each scenario is a function of the stage; it leaves everything mended."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from ..deployment import POSTGRES, SQLITE
from . import commits, disk
from .fleet import EVENT_CREATORS, PROCESSES, SYNCHROTRONS, WORKERS
from .stage import Stage

KILLS = 2

_DATABASE_FAILS = r"(DatabaseUnavailableError|DiskFullError)\b"


@attrs.frozen
class Scenario:
    """`links`, `disk_mib`: what its fleet needs. `expected_errors`: lines of logs that belong to
    the fault. With `lasts` its faults take as long as the option `--seconds` says."""

    name: str
    says: str
    inject: Callable[[Stage], None]
    engines: tuple[str, ...] = (SQLITE, POSTGRES)
    links: bool = False
    disk_mib: Mapping[str, int] = {}
    lasts: bool = False
    expected_errors: tuple[str, ...] = ()


def kill_any(stage: Stage) -> None:
    """Each round begins with another process, so that in ten rounds each is killed first."""
    order = stage.dice.sample(PROCESSES, len(PROCESSES))
    first = PROCESSES[stage.number % len(PROCESSES)]
    victims = [first, *(name for name in order if name != first)][:KILLS]
    for number, victim in enumerate(victims):
        part = 0.9 / KILLS
        stage.wait_for_part(number * part + 0.02, (number + 1) * part)
        stage.fault(f"SIGKILL {victim}")
        stage.fleet.kill(victim)
        stage.bring_up()


def freeze(stage: Stage) -> None:
    """One after the other stands still for a while."""
    for number, victim in enumerate(stage.dice.sample(PROCESSES, 3)):
        stage.wait_for_part(number * 0.3 + 0.02, (number + 1) * 0.3)
        stage.fault(f"SIGSTOP {victim}")
        stage.fleet.freeze(victim)
        try:
            stage.pause(0.5, 4)
        finally:
            stage.fleet.thaw(victim)
        stage.note(f"SIGCONT {victim}")
        stage.fleet.wait_until_healthy(victim)


def restart(stage: Stage) -> None:
    """Workers are restarted one by one, then everything at once."""
    for number, victim in enumerate(stage.dice.sample(WORKERS, 2)):
        stage.wait_for_part(number * 0.3 + 0.02, (number + 1) * 0.3)
        stage.fault(f"slctl restart {victim}")
        stage.fleet.slctl("restart", victim)
    stage.wait_for_part(0.6, 0.9)
    stage.fault("slctl restart of the whole fleet")
    stage.fleet.slctl("restart")
    stage.note("all up again")


def cut_worker(stage: Stage) -> None:
    """A line broken in its middle, then a cut and a stall of one worker's connections."""
    first = stage.dice.choice(SYNCHROTRONS)
    stage.wait_for_part(0.05, 0.2)
    stage.fault(f"connection of {first} reset within a line")
    stage.fleet.links[first].break_line()
    stage.wait_for_part(0.2, 0.4)
    kinds = [stage.dice.choice(EVENT_CREATORS), stage.dice.choice(WORKERS)]
    for victim, kind in zip(kinds, stage.dice.sample(("cut", "stall"), 2), strict=True):
        link = stage.fleet.links[victim]
        stage.fault(f"{kind} between {victim} and the master for {stage.seconds:.0f} s")
        link.cut() if kind == "cut" else link.stall()
        try:
            stage.pause(stage.seconds, stage.seconds)
        finally:
            link.heal()
        stage.note(f"{victim} can reach the master again")
        stage.wait_for_more(20)
    assert stage.fleet.links[first].is_line_broken, f"{first} was told nothing"


def postgres_lost(stage: Stage) -> None:
    """The database server dies with all of its processes, and comes back with its data."""
    assert stage.fleet.postgres is not None, "the scenario is for PostgreSQL"
    for number in range(2):
        stage.wait_for_part(number * 0.4 + 0.1, number * 0.4 + 0.4)
        stage.fault("SIGKILL PostgreSQL")
        stage.fleet.postgres.kill()
        stage.pause(0.2, 3)
        stage.fleet.postgres.start()
        stage.note("PostgreSQL takes connections again")
        stage.wait_for_more(20)
    for name in PROCESSES:
        stage.fleet.wait_until_healthy(name)


SCENARIOS = (
    Scenario("kill_any", "SIGKILL of any process, twice a round; slctl starts it", kill_any),
    Scenario(
        "group_commit",
        "the master is killed within a commit: before, while and after its data are written",
        commits.group_commit,
    ),
    Scenario("freeze", "SIGSTOP of any process for some seconds, three times a round", freeze),
    Scenario("restart", "slctl restart of single workers and of the whole fleet", restart),
    Scenario(
        "cut_worker",
        "connections between a worker and the master are reset, cut and stalled",
        cut_worker,
        links=True,
        lasts=True,
    ),
    Scenario(
        "full_disk",
        "the disk is full for a while: sends are refused, reads go on",
        disk.full_disk,
        disk_mib={SQLITE: 96, POSTGRES: 128},
        lasts=True,
        expected_errors=(_DATABASE_FAILS,),
    ),
    Scenario(
        "postgres_lost",
        "PostgreSQL is killed and comes back with its data",
        postgres_lost,
        engines=(POSTGRES,),
        expected_errors=(_DATABASE_FAILS,),
    ),
)
