"""A mixed load, as a small town of users makes it: all of them wait in /sync, and things happen.

What happens is drawn by weight from `ACTIONS` at a fixed rate. A user does one thing at a time.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import attrs

from .client import Address, AnswerError, Session
from .work import World, each

ROOM_SIZE = 20
USERS_PER_ROOM = 4
"""So many users share a room more: 300 users have 75 rooms, and each of them is in five."""

SYNC_MS = 15_000
PAGE = 100
MAX_UNDER_WAY = 64
KEPT_ERRORS = 20

NETWORK_ERRORS = (OSError, EOFError, TimeoutError)


@attrs.define
class Room:
    """A room, who is in it, and the newest event that somebody was told of."""

    room_id: str
    members: list[Session]
    last_event: str = ""


Action = Callable[["Load", Session, Room], Awaitable[Any]]


async def _send(load: Load, user: Session, room: Room) -> None:
    text = " ".join(load.draw.choices(_WORDS, k=load.draw.randint(3, 30)))
    room.last_event = await user.send(room.room_id, text, load.world.fresh("soak"))


async def _receipt(load: Load, user: Session, room: Room) -> None:
    if room.last_event:
        await user.send_receipt(room.room_id, room.last_event)


async def _typing(load: Load, user: Session, room: Room) -> None:
    await user.set_typing(room.room_id, is_typing=load.draw.random() < 0.6)


async def _presence(load: Load, user: Session, room: Room) -> None:
    await user.set_presence(load.draw.choice(_WORDS))


async def _page(load: Load, user: Session, room: Room) -> None:
    await user.page(room.room_id, PAGE)


async def _initial_sync(load: Load, user: Session, room: Room) -> None:
    await user.sync()


async def _account_data(load: Load, user: Session, room: Room) -> None:
    await user.set_account_data("org.example.soak", {"words": load.draw.choices(_WORDS, k=5)})


async def _come_and_go(load: Load, user: Session, room: Room) -> None:
    await user.leave(room.room_id)
    await user.join(room.room_id)


async def _new_room(load: Load, user: Session, room: Room) -> None:
    room_id = await user.create_room()
    await user.send(room_id, "hello", load.world.fresh("soak"))
    await user.leave(room_id)


async def _log_in_and_out(load: Load, user: Session, room: Room) -> None:
    again = await load.world.nobody.log_in(user.user_id)
    await again.sync()
    await again.call("POST", "/logout", {})
    again.close()


ACTIONS: dict[str, tuple[int, Action]] = {
    "send": (40, _send),
    "receipt": (20, _receipt),
    "typing": (15, _typing),
    "presence": (5, _presence),
    "page": (6, _page),
    "initial sync": (3, _initial_sync),
    "account data": (4, _account_data),
    "leave and join": (4, _come_and_go),
    "new room": (1, _new_room),
    "log in and out": (2, _log_in_and_out),
}

_TEXT = (
    "the rain has stopped and we walk along the river to see whether boats are out today or nobody"
    " dares because clouds come over that hill again while bread is still warm"
)
_WORDS = tuple(_TEXT.split())


class Load:
    """The users, their rooms, and what they do. `done` counts what went well, by its name."""

    def __init__(self, address: Address, users: int, per_second: float, seed: int = 1) -> None:
        self.world = World(address)
        self.draw = random.Random(seed)
        self.done: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.errors: list[str] = []
        self.skipped = 0
        self._count = users
        self._per_second = per_second
        self._users: list[Session] = []
        self._rooms: list[Room] = []
        self._busy: set[str] = set()
        self._running: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def prepare(self) -> None:
        """Make accounts and rooms."""
        self._users = list(await self.world.members(self._count))
        for number in range(max(1, self._count // USERS_PER_ROOM)):
            first = number * USERS_PER_ROOM
            places = range(first, first + min(ROOM_SIZE, self._count))
            members = [self._users[place % self._count] for place in places]
            room = Room(await members[0].create_room(), members)
            await each([_joining(user, room) for user in members[1:]], 4)
            self._rooms.append(room)

    async def run(self, seconds: float) -> None:
        """Make the load for so long, and end when everything under way is done."""
        self._stopping = False
        syncing = [asyncio.create_task(self._sync(user)) for user in self._users]
        began = time.monotonic()
        number = 0
        while time.monotonic() - began < seconds:
            number += 1
            due = began + number / self._per_second
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self._start_one()
        self._stopping = True
        await asyncio.gather(*self._running, *syncing)

    async def _sync(self, user: Session) -> None:
        since = ""
        while not self._stopping:
            try:
                since = (await user.sync(since, SYNC_MS))["next_batch"]
                self.done["sync"] += 1
            except (AnswerError, *NETWORK_ERRORS) as error:
                self._note("sync", error)
                await asyncio.sleep(1.0)

    def _start_one(self) -> None:
        room = self.draw.choice(self._rooms)
        user = self.draw.choice(room.members)
        weights = [weight for weight, _ in ACTIONS.values()]
        (name,) = self.draw.choices(list(ACTIONS), weights)
        if user.user_id in self._busy or len(self._running) >= MAX_UNDER_WAY:
            self.skipped += 1
            return
        self._busy.add(user.user_id)
        task = asyncio.create_task(self._act(name, user, room))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _act(self, name: str, user: Session, room: Room) -> None:
        try:
            await ACTIONS[name][1](self, user, room)
            self.done[name] += 1
        except (AnswerError, *NETWORK_ERRORS) as error:
            self._note(name, error)
        finally:
            self._busy.discard(user.user_id)

    def _note(self, name: str, error: BaseException) -> None:
        self.failed[name] += 1
        if self.failed[name] <= 2 and len(self.errors) < KEPT_ERRORS:
            self.errors.append(f"{name}: {error!r}")


def _joining(user: Session, room: Room) -> Callable[[], Awaitable[None]]:
    return lambda: user.join(room.room_id)
