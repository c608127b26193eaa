"""One round: a fresh fleet, clients, faults, checks."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import attrs

from ..client import Client, User
from ..deployment import MASTER, NGINX
from .caller import REQUEST_SECONDS, Caller
from .checks import CHECKS
from .evidence import Evidence
from .fleet import EVENT_CREATORS, WORKERS, Fleet
from .load import Actor, Board, Reader, Sender, SyncingClient, Wanderer, Writer
from .record import Record
from .rows import Rows
from .scenarios import Scenario
from .stage import Stage

SENDERS = 8
ROOMS = 2
READERS = ("reader0", "reader1")
WRITER = "writer"
WANDERER = "wanderer"
OBSERVER = "observer"

SEND_DOORS = (NGINX, MASTER, *EVENT_CREATORS)

_SETTLE_SECONDS = 30.0
"""For how long what was acknowledged may be on its way to everybody."""

Say = Callable[[str], None]


@attrs.frozen
class Plan:
    """What a round is to be. All that is random in it comes from `seed` and `number`."""

    scenario: Scenario
    engine: str
    seed: int
    number: int
    sends: int
    seconds: float

    def dice(self, purpose: str) -> random.Random:
        """Random choices of one part of the round, whatever the others do."""
        return random.Random(f"{self.seed}/{self.number}/{self.scenario.name}/{purpose}")

    @property
    def command(self) -> str:
        """How to repeat the round by hand."""
        return (
            f"python -m tests.integration.faults --scenario {self.scenario.name}"
            f" --database {self.engine} --seed {self.seed} --first {self.number} --rounds 1"
            f" --sends {self.sends} --seconds {self.seconds:g}"
        )


class RoundFailedError(AssertionError):
    """A round has found something wrong; the message has it all, and where the logs are."""


@attrs.define
class Clients:
    """The actors of a round."""

    users: Mapping[str, User]
    rooms: Sequence[str]
    senders: list[Sender]
    syncing: list[SyncingClient]
    readers: list[Reader]
    writers: list[Writer]
    wanderers: list[Wanderer]

    @property
    def active(self) -> list[Actor]:
        """All but those who sync."""
        return [*self.senders, *self.readers, *self.writers, *self.wanderers]


class Round:
    """Run with `run`, which raises RoundFailedError or SkipTest."""

    def __init__(self, plan: Plan, say: Say) -> None:
        self._plan = plan
        self._say = say
        self._record = Record()
        self._board = Board()

    def run(self) -> None:
        """The whole round."""
        plan = self._plan
        began = time.monotonic()
        fleet = Fleet(
            plan.engine, links=plan.scenario.links, disk_mib=plan.scenario.disk_mib.get(plan.engine)
        )
        with fleet:
            self._say(f"          fleet started in {time.monotonic() - began:.1f} s")
            problems = self._problems(fleet)
            if problems:
                raise RoundFailedError(self._story(fleet, problems))
        self._say(f"          {self._summary()}, {time.monotonic() - began:.1f} s in all")

    def _problems(self, fleet: Fleet) -> list[str]:
        """Everything that is found wrong, unexpected errors included."""
        try:
            doors = {
                name: Client(fleet.url_of(name), timeout=REQUEST_SECONDS)
                for name in (NGINX, MASTER, *WORKERS)
            }
            clients = self._make_clients(fleet, doors)
            rows = Rows(fleet)
            before = frozenset(
                event_id for (event_id,) in rows.query("SELECT event_id FROM events")
            )
            rows.close()
            self._play(fleet, clients, doors)
            return list(self._check(fleet, clients, doors, before))
        except Exception as error:
            self._board.stopping.set()
            self._board.closing.set()
            return [f"{type(error).__name__}: {error}"]

    # --- the clients

    def _make_clients(self, fleet: Fleet, doors: Mapping[str, Client]) -> Clients:
        names = [f"sender{number}" for number in range(SENDERS)]
        names += [*READERS, WRITER, WANDERER, OBSERVER]
        users = {name: doors[NGINX].register(name) for name in names}
        members = {name: user for name, user in users.items() if name != WANDERER}
        rooms = [users["sender0"].create_room() for _ in range(ROOMS)]
        for room_id in rooms:
            for name, user in members.items():
                if name != "sender0":
                    user.join(room_id)
        plan, board = self._plan, self._board

        def caller(name: str) -> Caller:
            return Caller(name, users[name], doors, self._record)

        def dice(name: str) -> random.Random:
            return plan.dice(name)

        share = -(-plan.sends // SENDERS)
        clients = Clients(
            members,
            rooms,
            senders=[
                Sender(
                    caller(f"sender{number}"),
                    board,
                    dice(f"sender{number}"),
                    rooms=rooms,
                    doors=SEND_DOORS,
                    share=share,
                    pause=0.05,
                )
                for number in range(SENDERS)
            ],
            syncing=[
                SyncingClient(caller(name), board, dice(f"sync {name}"))
                for name in (*READERS, WRITER, "sender0")
            ],
            readers=[Reader(caller(name), board, dice(name)) for name in READERS],
            writers=[Writer(caller(WRITER), board, dice(WRITER), room_id=rooms[0])],
            wanderers=[Wanderer(caller(WANDERER), board, dice(WANDERER), room_id=rooms[1])],
        )
        for client in clients.syncing:
            client.begin()
        return clients

    def _play(self, fleet: Fleet, clients: Clients, doors: Mapping[str, Client]) -> None:
        """Let everybody act while the scenario breaks things."""
        plan = self._plan
        stage = Stage(
            fleet,
            self._record,
            self._board,
            plan.dice("faults"),
            plan.sends,
            plan.seconds,
            lambda text: self._say(f"  {text}"),
            plan.number,
            Caller(OBSERVER, clients.users[OBSERVER], doors, self._record),
        )
        self._record.begin()
        for actor in [*clients.syncing, *clients.active]:
            actor.start()
        try:
            plan.scenario.inject(stage)
        finally:
            self._board.faults_are_over.set()
        for sender in clients.senders:
            sender.finish()
        self._board.stopping.set()
        for actor in clients.active:
            actor.finish()

    # --- the end

    def _check(
        self,
        fleet: Fleet,
        clients: Clients,
        doors: Mapping[str, Client],
        before: frozenset[str],
    ) -> Iterator[str]:
        rows = Rows(fleet)
        evidence = Evidence(
            fleet,
            rows,
            self._record,
            self._board,
            doors,
            clients.rooms,
            clients.users,
            clients.senders,
            clients.syncing,
            clients.readers,
            clients.writers,
            clients.wanderers,
            before,
            self._plan.scenario.expected_errors,
        )
        deadline = time.monotonic() + _SETTLE_SECONDS
        for check in CHECKS:
            found = list(check(evidence))
            while found and time.monotonic() < deadline:
                time.sleep(0.3)
                found = list(check(evidence))
            yield from (f"{check.__name__}: {line}" for line in found)
        rows.close()
        self._board.closing.set()
        for client in clients.syncing:
            client.finish()
        for actor in [*clients.active, *clients.syncing]:
            if actor.error is not None:
                yield f"{actor.name}: {type(actor.error).__name__}: {actor.error}"

    def _story(self, fleet: Fleet, problems: Sequence[str]) -> str:
        kept = Path(tempfile.mkdtemp(prefix="synapse_lite-faults-"))
        fleet.keep(kept)
        self._record.save(kept / "record.jsonl")
        lines = [f"{self._plan.scenario.name}, round {self._plan.number}: FAILED"]
        lines += [f"  {problem}" for problem in problems]
        lines += [f"  record, logs and database are in {kept}", f"  again: {self._plan.command}"]
        return "\n".join(lines)

    def _summary(self) -> str:
        for fault, seconds, failing in self._record.recoveries():
            self._say(
                f"          {fault.what}: next send acknowledged after {seconds:.2f} s,"
                f" last failed request after {failing:.2f} s"
            )
        record = self._record
        total = len(record.exchanges)
        return (
            f"{len(self._board.sent)} sends acknowledged, {record.repeated_sends()} of them"
            f" repeated; {total} requests, {record.failed} failed"
            f" ({100 * record.failed / max(1, total):.1f} %); {len(CHECKS)} checks good"
        )
