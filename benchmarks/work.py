"""The work that is measured: the same, in the same amounts, for every server.

An operation prepares what it needs (not measured) and then does its work, of which it returns the
latencies. What it needs is kept in a `World`, so that operations share users and rooms.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any

import attrs

from .client import Address, Json, Session, timed

IN_FLIGHT = 32
LARGE_ROOM = 500
WAITING = 200
SYNCED_ROOMS = 200
MESSAGES_PER_SYNCED_ROOM = 3
PAGE = 100
DELIVERY_MS = 60_000
WATCHING = 20
PRESENCE_ROUNDS = 20
PRESENCE_PAUSE = 6.0
"""Servers tell of a user's presence at most every few seconds."""
DELIVERY_ROUNDS = 10

Work = Callable[[], Awaitable[list[float]]]


async def each(actions: Iterable[Callable[[], Awaitable[Any]]], at_once: int) -> list[float]:
    """Do things with at most `at_once` of them under way. Returns their latencies."""
    latencies: list[float] = []
    waiting = iter(actions)

    async def lane() -> None:
        for action in waiting:
            latencies.append(await timed(action()))

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(lane())
    return latencies


class World:
    """Users and rooms of one server, made when they are first wanted.

    A quick one does a quarter of the work in smaller rooms: to see that all works, and roughly.
    """

    def __init__(self, address: Address, *, is_quick: bool = False) -> None:
        self.nobody = Session(address)
        self._is_quick = is_quick
        self.users: list[Session] = []
        self._rooms: dict[tuple[str, int], str] = {}
        self._numbers = itertools.count()

    def fresh(self, kind: str) -> str:
        """A name that was not used before."""
        return f"{kind}{next(self._numbers)}"

    def amount(self, full: int) -> int:
        """How often to do something, or how large to make it."""
        return max(1, full // 4) if self._is_quick else full

    async def members(self, count: int) -> list[Session]:
        """So many users, always the same ones."""

        async def add() -> None:
            self.users.append(await self.nobody.register(self.fresh("user")))

        await each([add] * (count - len(self.users)), 8)
        return self.users[:count]

    async def room(self, name: str, size: int) -> str:
        """A room of the first `size` users, made by the first of them."""
        if (name, size) not in self._rooms:
            first, *others = await self.members(size)
            room_id = await first.create_room()
            await each([partial(user.join, room_id) for user in others], 4)
            self._rooms[name, size] = room_id
        return self._rooms[name, size]

    def sends(
        self, senders: list[Session], rooms: list[str], count: int
    ) -> list[Callable[[], Awaitable[str]]]:
        """Messages to send: senders and rooms take turns."""

        def one(number: int) -> Callable[[], Awaitable[str]]:
            sender, room = senders[number % len(senders)], rooms[number % len(rooms)]
            return partial(sender.send, room, f"message {number}", self.fresh("txn"))

        return [one(number) for number in range(count)]

    def close(self) -> None:
        """Close all connections that wait for nothing."""
        for session in [self.nobody, *self.users]:
            session.close()


@attrs.frozen
class Operation:
    """Something to measure. `prepare` does what is not measured and returns the work.

    `grows` says that the database's growth for each is worth telling.
    """

    name: str
    says: str
    prepare: Callable[[World], Awaitable[Work]]
    grows: bool = False


OPERATIONS: dict[str, Operation] = {}


def operation(says: str, *, grows: bool = False) -> Callable[[Any], Any]:
    """Declare an operation; its name is that of the function that prepares it."""

    def declare(prepare: Callable[[World], Awaitable[Work]]) -> Callable[[World], Awaitable[Work]]:
        name = prepare.__name__
        OPERATIONS[name] = Operation(name, says, prepare, grows)
        return prepare

    return declare


@operation("register and log in")
async def register(world: World) -> Work:
    """Accounts one after another; each logs in once more."""

    async def one() -> None:
        user = await world.nobody.register(world.fresh("newcomer"))
        again = await world.nobody.log_in(user.user_id)
        user.close()
        again.close()

    return lambda: each([one] * world.amount(50), 1)


@operation("create a public room", grows=True)
async def create_room(world: World) -> Work:
    """Rooms one after another."""
    (user,) = await world.members(1)
    return lambda: each([user.create_room] * world.amount(30), 1)


@operation("send, one at a time, room of 50", grows=True)
async def send(world: World) -> Work:
    """Messages one after another into one room."""
    room = await world.room("send", 50)
    sends = world.sends(await world.members(1), [room], world.amount(400))
    return lambda: each(sends, 1)


@operation("send, 32 in flight, room of 50", grows=True)
async def send_one_room(world: World) -> Work:
    """Messages of 32 users at once into one room."""
    room = await world.room("send", 50)
    sends = world.sends(await world.members(IN_FLIGHT), [room], world.amount(640))
    return lambda: each(sends, IN_FLIGHT)


@operation("send, 32 in flight, 32 rooms", grows=True)
async def send_many_rooms(world: World) -> Work:
    """Messages of 32 users at once, each into a room of their own."""
    users = await world.members(IN_FLIGHT)
    rooms = [await user.create_room() for user in users]
    sends = world.sends(users, rooms, world.amount(640))
    return lambda: each(sends, IN_FLIGHT)


@operation("send, room of 500 local members", grows=True)
async def send_large_room(world: World) -> Work:
    """Messages one after another into a large room in which nobody waits."""
    room = await world.room("large", world.amount(LARGE_ROOM))
    sends = world.sends(await world.members(1), [room], world.amount(100))
    return lambda: each(sends, 1)


@operation("deliver a message to one of 200 waiting /sync")
async def deliver(world: World) -> Work:
    """Messages to 200 clients that wait; latencies are from sending to having the answer."""
    room = await world.room("delivery", world.amount(WAITING))
    users = await world.members(world.amount(WAITING))
    since: dict[str, str] = {}

    async def begin(user: Session) -> None:
        since[user.user_id] = (await user.sync())["next_batch"]

    await each([partial(begin, user) for user in users], 8)

    async def receive(user: Session) -> float:
        while True:
            answer = await user.sync(since[user.user_id], DELIVERY_MS)
            arrived = time.perf_counter()
            since[user.user_id] = answer["next_batch"]
            if room in answer.get("rooms", {}).get("join", {}):
                return arrived

    async def work() -> list[float]:
        latencies = []
        for number in range(world.amount(DELIVERY_ROUNDS)):
            waiting = [asyncio.create_task(receive(user)) for user in users]
            await asyncio.sleep(1.0)
            began = time.perf_counter()
            await users[0].send(room, f"news {number}", world.fresh("txn"))
            latencies += [arrived - began for arrived in await asyncio.gather(*waiting)]
        return latencies

    return work


@operation("initial /sync of 200 rooms")
async def initial_sync(world: World) -> Work:
    """Initial syncs of a user, each of a new device, so that no kept answer serves it."""
    user = await world.nobody.register(world.fresh("collector"))
    rooms = [await user.create_room() for _ in range(world.amount(SYNCED_ROOMS))]
    await each(world.sends([user], rooms, len(rooms) * MESSAGES_PER_SYNCED_ROOM), 4)
    devices = [await world.nobody.log_in(user.user_id) for _ in range(5)]
    return lambda: each([device.sync for device in devices], 1)


@operation("/sync without news")
async def idle_sync(world: World) -> Work:
    """Syncs that find nothing and do not wait."""
    await world.room("send", 50)
    user = (await world.members(50))[1]
    since = (await user.sync())["next_batch"]
    return lambda: each([partial(user.sync, since)] * world.amount(500), 1)


@operation("join a public room", grows=True)
async def join(world: World) -> Work:
    """Users join a room one after another."""
    first, *others = await world.members(1 + world.amount(100))
    room = await first.create_room()
    return lambda: each([partial(user.join, room) for user in others], 1)


@operation("page of 100 messages")
async def messages(world: World) -> Work:
    """The newest page of a room, by turns of the members."""
    room = await world.room("paged", 10)
    users = await world.members(10)
    await each(world.sends(users, [room], PAGE), 4)
    return lambda: each([partial(user.page, room, PAGE) for user in users * world.amount(8)], 1)


@operation("receipt")
async def receipt(world: World) -> Work:
    """A member reads message after message."""
    room = await world.room("read", 10)
    first, second, *_ = await world.members(10)
    events = [
        await first.send(room, "to read", world.fresh("txn")) for _ in range(world.amount(200))
    ]
    return lambda: each(
        [partial(second.send_receipt, room, event) for event in events],
        1,
    )


@operation("typing")
async def typing(world: World) -> Work:
    """A member types and stops."""
    room = await world.room("read", 10)
    (user,) = await world.members(1)
    return lambda: each(
        [partial(user.set_typing, room, is_typing=n % 2 == 0) for n in range(world.amount(400))],
        1,
    )


@operation("presence, to one of 19 waiting /sync")
async def presence(world: World) -> Work:
    """Users say by turns what they do; latencies are from saying it to having it, as delivered."""
    await world.room("watched", WATCHING)
    users = await world.members(WATCHING)
    since: dict[str, str] = {}

    async def begin(user: Session) -> None:
        since[user.user_id] = (await user.sync())["next_batch"]

    await each([partial(begin, user) for user in users], 8)
    # All of them are online from now on, and have heard so from each other.
    await asyncio.sleep(PRESENCE_PAUSE)
    await each([partial(begin, user) for user in users], 8)

    async def see(user: Session, speaker: Session, status: str) -> float:
        while True:
            answer = await user.sync(since[user.user_id], DELIVERY_MS)
            arrived = time.perf_counter()
            since[user.user_id] = answer["next_batch"]
            if _tells_of(answer, speaker.user_id, status):
                return arrived

    async def work() -> list[float]:
        latencies = []
        for number in range(world.amount(PRESENCE_ROUNDS)):
            speaker = users[number % len(users)]
            status = world.fresh("busy with task ")
            watching = [user for user in users if user is not speaker]
            waiting = [asyncio.create_task(see(user, speaker, status)) for user in watching]
            await asyncio.sleep(0.5)
            began = time.perf_counter()
            await speaker.set_presence(status)
            latencies += [arrived - began for arrived in await asyncio.gather(*waiting)]
        return latencies

    return work


def _tells_of(answer: Json, user_id: str, status: str) -> bool:
    return any(
        event.get("sender") == user_id and event["content"].get("status_msg") == status
        for event in answer.get("presence", {}).get("events", [])
    )
