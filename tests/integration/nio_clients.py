"""Two users with two devices each, by matrix-nio: everything that a chat needs, through one URL.

    python -m tests.integration.nio_clients http://127.0.0.1:8008

Ends with status 0 and a line of JSON that tells what was seen, or with a traceback. It runs in a
process of its own because matrix-nio lives on asyncio.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

import nio

TIMEOUT_MS = 10_000
PASSWORD = "correct horse battery staple"


def expect(answer: Any, kind: type[Any]) -> Any:
    """The answer, which must be of a kind."""
    assert isinstance(answer, kind), f"expected {kind.__name__}, got {answer!r}"
    return answer


class Device:
    """One log-in of a user, and what its /sync has shown."""

    def __init__(self, url: str, user: str, device: str) -> None:
        config = nio.AsyncClientConfig(encryption_enabled=False)
        self.client = nio.AsyncClient(url, user, device_id=device, config=config)
        self.messages: list[str] = []
        self.redacted: list[str] = []
        self.receipts: list[tuple[str, str]] = []
        self.typing: list[str] = []
        self.invites: set[str] = set()

    async def sync(self) -> None:
        """One round of /sync."""
        answer = expect(await self.client.sync(timeout=TIMEOUT_MS), nio.SyncResponse)
        self.invites.update(answer.rooms.invite)
        for room in answer.rooms.join.values():
            for event in room.timeline.events:
                if isinstance(event, nio.RoomMessageText):
                    self.messages.append(event.body)
                elif isinstance(event, nio.RedactionEvent):
                    self.redacted.append(event.redacts)
            for ephemeral in room.ephemeral:
                if isinstance(ephemeral, nio.ReceiptEvent):
                    self.receipts += [(r.user_id, r.event_id) for r in ephemeral.receipts]
                elif isinstance(ephemeral, nio.TypingNoticeEvent):
                    self.typing = list(ephemeral.users)

    async def sync_until(self, seen: Callable[[], bool], what: str) -> None:
        """Sync until something was seen."""
        for _ in range(30):
            if seen():
                return
            await self.sync()
        raise AssertionError(f"{self.client.user_id} never saw {what}")


async def register(url: str, name: str, device: str) -> Device:
    """Register a user; the first device is logged in by that."""
    made = Device(url, name, device)
    expect(await made.client.register(name, PASSWORD), nio.RegisterResponse)
    return made


async def log_in(url: str, user_id: str, device: str) -> Device:
    """Log in one more device of a user."""
    made = Device(url, user_id, device)
    expect(await made.client.login(PASSWORD), nio.LoginResponse)
    return made


async def chat(url: str) -> dict[str, Any]:
    """The whole story. Returns what was seen, for the record."""
    alice = await register(url, "alice", "A1")
    bob = await register(url, "bob", "B1")
    alice2 = await log_in(url, alice.client.user_id, "A2")
    bob2 = await log_in(url, bob.client.user_id, "B2")
    devices = (alice, alice2, bob, bob2)
    try:
        return await converse(alice, alice2, bob, bob2)
    finally:
        for device in devices:
            await device.client.close()


async def converse(alice: Device, alice2: Device, bob: Device, bob2: Device) -> dict[str, Any]:
    """Create, invite, join, send, read, type, redact, look back."""
    for device in (alice, alice2, bob, bob2):
        await device.sync()
    created = expect(
        await alice.client.room_create(name="Tea", topic="What to drink"), nio.RoomCreateResponse
    )
    room_id: str = created.room_id
    expect(await alice.client.room_invite(room_id, bob.client.user_id), nio.RoomInviteResponse)
    for device in (bob, bob2):
        await device.sync_until(lambda d=device: room_id in d.invites, "the invite")
    expect(await bob.client.join(room_id), nio.JoinResponse)

    sent = []
    for number in range(10):
        author = (alice, bob, alice2, bob2)[number % 4]
        answer = await author.client.room_send(
            room_id, "m.room.message", {"msgtype": "m.text", "body": f"cup {number}"}
        )
        sent.append(expect(answer, nio.RoomSendResponse).event_id)
    expected = [f"cup {number}" for number in range(10)]
    for device in (alice, alice2, bob, bob2):
        await device.sync_until(lambda d=device: len(d.messages) >= 10, "all messages")
        assert device.messages == expected, device.messages

    expect(
        await bob.client.room_read_markers(room_id, sent[-1], sent[-1]), nio.RoomReadMarkersResponse
    )
    expect(
        await bob.client.update_receipt_marker(room_id, sent[-1]), nio.UpdateReceiptMarkerResponse
    )
    receipt = (bob.client.user_id, sent[-1])
    await alice2.sync_until(lambda: receipt in alice2.receipts, "the receipt")

    expect(await bob.client.room_typing(room_id, True, timeout=20_000), nio.RoomTypingResponse)
    await alice.sync_until(lambda: bob.client.user_id in alice.typing, "typing")
    expect(await bob.client.room_typing(room_id, False), nio.RoomTypingResponse)
    await alice.sync_until(lambda: not alice.typing, "the end of typing")

    expect(await alice.client.room_redact(room_id, sent[0], "spilt"), nio.RoomRedactResponse)
    await bob2.sync_until(lambda: sent[0] in bob2.redacted, "the redaction")

    page = expect(
        await bob.client.room_messages(room_id, start="", limit=50), nio.RoomMessagesResponse
    )
    bodies = [event.body for event in page.chunk if isinstance(event, nio.RoomMessageText)]
    assert bodies == expected[:0:-1], bodies
    members = expect(await bob.client.joined_members(room_id), nio.JoinedMembersResponse)
    assert {member.user_id for member in members.members} == {
        alice.client.user_id,
        bob.client.user_id,
    }
    assert expect(await alice.client.joined_rooms(), nio.JoinedRoomsResponse).rooms == [room_id]
    name = expect(
        await bob.client.room_get_state_event(room_id, "m.room.name"), nio.RoomGetStateEventResponse
    )
    assert name.content["name"] == "Tea"
    expect(await bob.client.room_leave(room_id), nio.RoomLeaveResponse)
    expect(await bob2.client.logout(), nio.LogoutResponse)
    return {"room_id": room_id, "sent": sent}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(chat(sys.argv[1]))))
