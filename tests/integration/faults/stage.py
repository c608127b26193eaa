"""Where a scenario acts: the fleet under load, a seeded dice, the record."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import attrs

from ..processes import wait_for
from .caller import Caller
from .fleet import Fleet
from .load import Board
from .record import Record

PROGRESS_SECONDS = 150.0


@attrs.frozen
class Stage:
    """`target` is how many sends the round has, `seconds` how long a fault lasts that lasts.
    `observer` is a member of the rooms who only looks."""

    fleet: Fleet
    record: Record
    board: Board
    dice: random.Random
    target: int
    seconds: float
    say: Callable[[str], None]
    number: int
    observer: Caller

    @property
    def acknowledged(self) -> int:
        """How many sends have been acknowledged."""
        return len(self.board.sent)

    def wait_for_part(self, low: float, high: float) -> None:
        """Wait until a part of the sends is acknowledged, and then for a moment."""
        moment = int(self.target * self.dice.uniform(low, high))
        wait_for(lambda: self.acknowledged >= moment, PROGRESS_SECONDS, f"{moment} sends")
        self.pause(0, 0.05)

    def wait_for_more(self, count: int) -> None:
        """Wait until so many more sends are acknowledged: the server works again."""
        moment = self.acknowledged + count
        wait_for(lambda: self.acknowledged >= moment, PROGRESS_SECONDS, f"{count} more sends")

    def pause(self, low: float, high: float) -> None:
        """Wait for a random while."""
        time.sleep(self.dice.uniform(low, high))

    def fault(self, what: str) -> None:
        """Note and tell what is being broken now."""
        at = self.record.fault(what)
        self.say(f"{at:7.2f} s  {what}, {self.acknowledged} sends acknowledged")

    def note(self, what: str) -> None:
        """Tell what has happened."""
        self.say(f"{self.record.now():7.2f} s  {what}")

    def bring_up(self) -> None:
        """Start by slctl what has died, and tell how long that took."""
        seconds = self.fleet.bring_up()
        self.note(f"all up again after {seconds:.2f} s")
