"""The clients of a round: who sends, reads, syncs, keeps account data, comes and goes."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from urllib.parse import quote, urlencode

import attrs

from ..client import NO_ANSWER, RETRIED, WHOLE_TIMELINES, HttpError, Json
from .caller import Caller

COUNTER_TYPE = "org.example.counter"
TAG = "u.counter"

_STOP_SECONDS = 150.0
_POLL_MS = 3000
_EXTRA_PAUSE_SECONDS = 0.3
"""Between messages beyond the share of a sender, which only keep the server busy."""


@attrs.frozen
class Sent:
    """An acknowledged message."""

    user_id: str
    room_id: str
    txn_id: str
    body: str
    event_id: str


class Board:
    """What the clients of a round know of one another."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.faults_are_over = threading.Event()
        self.stopping = threading.Event()
        self.closing = threading.Event()
        """Set last: until then clients go on syncing."""


class Actor(threading.Thread):
    """A client in a thread of its own. `error` is what ended it before its time."""

    def __init__(self, caller: Caller, board: Board, dice: random.Random) -> None:
        super().__init__(name=caller.actor, daemon=True)
        self.caller = caller
        self.error: Exception | None = None
        self._board = board
        self._dice = dice

    def run(self) -> None:
        """Act until told to stop."""
        try:
            self.act()
        except Exception as error:
            self.error = error

    def act(self) -> None:
        """What it does."""
        raise NotImplementedError

    def pause(self, seconds: float) -> None:
        """Do nothing for a random while around so many seconds."""
        self._board.stopping.wait(self._dice.uniform(0, 2 * seconds))

    def finish(self) -> None:
        """Wait for its end."""
        self.join(_STOP_SECONDS)
        assert not self.is_alive(), f"{self.name} did not end"


class Sender(Actor):
    """Sends its share of messages, and goes on for as long as faults last."""

    def __init__(
        self,
        caller: Caller,
        board: Board,
        dice: random.Random,
        *,
        rooms: Sequence[str],
        doors: Sequence[str],
        share: int,
        pause: float,
    ) -> None:
        super().__init__(caller, board, dice)
        self.sent: list[Sent] = []
        self._rooms = rooms
        self._doors = doors
        self._share = share
        self._pause = pause

    def act(self) -> None:
        number = 0
        while number < self._share or not self._board.faults_are_over.is_set():
            room_id = self._dice.choice(self._rooms)
            self._send(room_id, f"t{number}", f"message {number} of {self.name}")
            number += 1
            self.pause(self._pause if number < self._share else _EXTRA_PAUSE_SECONDS)

    def _send(self, room_id: str, txn_id: str, body: str) -> None:
        path = f"/rooms/{quote(room_id)}/send/m.room.message/{txn_id}"
        # First through nginx, then wherever there may be an answer, in an order of its own.
        others = self._dice.sample(self._doors[1:], len(self._doors) - 1)
        answer = self.caller.until_answered(
            "PUT", path, {"msgtype": "m.text", "body": body}, doors=[self._doors[0], *others]
        )
        sent = Sent(self.caller.user_id, room_id, txn_id, body, answer["event_id"])
        self.sent.append(sent)
        self._board.sent.append(sent)


class SyncingClient(Actor):
    """Long-polls through nginx, with the same `since` again after an error, and keeps what it was
    told: timelines in the order of arrival, and the last of everything else."""

    def __init__(self, caller: Caller, board: Board, dice: random.Random) -> None:
        super().__init__(caller, board, dice)
        self.timelines: dict[str, list[str]] = {}
        self.account_data: dict[str, Json] = {}
        self.room_account_data: dict[tuple[str, str], Json] = {}
        self.receipts: dict[tuple[str, str, str, str], str] = {}
        self.counts: dict[str, Json] = {}
        self.gaps: list[str] = []
        self.since = ""

    def begin(self) -> None:
        """The first sync, before anything is broken."""
        answer = self._sync(0)
        self._keep(answer, with_timeline=False)

    def act(self) -> None:
        while not self._board.closing.is_set():
            try:
                answer = self._sync(_POLL_MS)
            except NO_ANSWER:
                self._board.closing.wait(0.1)
            except HttpError as error:
                if error.status not in RETRIED:
                    raise
                self._board.closing.wait(0.1)
            else:
                self._keep(answer, with_timeline=True)

    def _sync(self, timeout_ms: int) -> Json:
        query = {"timeout": str(timeout_ms), "filter": WHOLE_TIMELINES}
        if self.since:
            query["since"] = self.since
        return self.caller.once("GET", f"/sync?{urlencode(query)}")

    def _keep(self, answer: Json, *, with_timeline: bool) -> None:
        for event in answer.get("account_data", {}).get("events", ()):
            self.account_data[event["type"]] = event["content"]
        for room_id, room in answer.get("rooms", {}).get("join", {}).items():
            timeline = room.get("timeline", {})
            if with_timeline:
                if timeline.get("limited"):
                    self.gaps.append(f"{room_id} after {self.since}")
                known = self.timelines.setdefault(room_id, [])
                known += [event["event_id"] for event in timeline.get("events", ())]
            for event in room.get("account_data", {}).get("events", ()):
                self.room_account_data[room_id, event["type"]] = event["content"]
            for event in room.get("ephemeral", {}).get("events", ()):
                if event["type"] == "m.receipt":
                    self.receipts.update(receipts_of(room_id, event["content"]))
            if "unread_notifications" in room:
                self.counts[room_id] = room["unread_notifications"]
        self.since = answer["next_batch"]


def receipts_of(room_id: str, content: Json) -> dict[tuple[str, str, str, str], str]:
    """Room, kind, user and thread of each receipt of an m.receipt event, with its event."""
    return {
        (room_id, kind, user_id, data.get("thread_id", "")): event_id
        for event_id, kinds in content.items()
        for kind, users in kinds.items()
        for user_id, data in users.items()
    }


class Reader(Actor):
    """Sends receipts of every kind for messages that were acknowledged to their senders."""

    KINDS = (("m.read", ""), ("m.read.private", ""), ("m.read", "main"))

    def __init__(self, caller: Caller, board: Board, dice: random.Random) -> None:
        super().__init__(caller, board, dice)
        self.acknowledged: dict[tuple[str, str, str], list[str]] = {}

    def act(self) -> None:
        while not self._board.stopping.is_set():
            if self._board.sent:
                sent = self._board.sent[-1]
                self._read(sent.room_id, sent.event_id, *self._dice.choice(self.KINDS))
            self.pause(0.1)

    def _read(self, room_id: str, event_id: str, kind: str, thread_id: str) -> None:
        path = f"/rooms/{quote(room_id)}/receipt/{kind}/{quote(event_id)}"
        self.caller.until_answered("POST", path, {"thread_id": thread_id} if thread_id else {})
        self.acknowledged.setdefault((room_id, kind, thread_id), []).append(event_id)


class Writer(Actor):
    """Keeps counters as account data, as account data of a room, and as a tag."""

    def __init__(self, caller: Caller, board: Board, dice: random.Random, *, room_id: str) -> None:
        super().__init__(caller, board, dice)
        self.written: dict[str, int] = {}
        self.room_id = room_id

    def act(self) -> None:
        user = f"/user/{quote(self.caller.user_id)}"
        room = f"{user}/rooms/{quote(self.room_id)}"
        places: dict[str, tuple[str, Callable[[int], Json]]] = {
            "global": (f"{user}/account_data/{COUNTER_TYPE}", lambda number: {"n": number}),
            "room": (f"{room}/account_data/{COUNTER_TYPE}", lambda number: {"n": number}),
            "tag": (f"{room}/tags/{TAG}", lambda number: {"order": number / 1e6}),
        }
        number = 0
        while not self._board.stopping.is_set():
            number += 1
            place = self._dice.choice(sorted(places))
            path, content = places[place]
            self.caller.until_answered("PUT", path, content(number))
            self.written[place] = number
            self.pause(0.1)


class Wanderer(Actor):
    """Joins a room and leaves it again. `is_in` is what was acknowledged last."""

    def __init__(self, caller: Caller, board: Board, dice: random.Random, *, room_id: str) -> None:
        super().__init__(caller, board, dice)
        self.room_id = room_id
        self.is_in = False
        self.moves = 0

    def act(self) -> None:
        room = f"/rooms/{quote(self.room_id)}"
        while not self._board.stopping.is_set():
            # Who has left already is told so with 403.
            verb = "leave" if self.is_in else "join"
            self.caller.until_answered("POST", f"{room}/{verb}", {}, settled=(403,))
            self.is_in = not self.is_in
            self.moves += 1
            self.pause(0.2)
