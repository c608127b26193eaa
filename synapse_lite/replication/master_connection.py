"""One worker's connection, seen from the master."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from ..streams import STREAMS, Stream, stream_named
from ..util.async_helpers import run_in_background
from ..util.clock import Clock
from . import commands
from .authentication import digest, is_right, make_nonce
from .commands import Command, Side
from .metrics import WORKER_COMMANDS
from .protocol import (
    MAX_UNAUTHENTICATED_LINE_BYTES,
    PROTOCOL_VERSION,
    ProtocolError,
    ReplicationConnection,
)
from .subscription import Subscription
from .worker_commands import WorkerCommands

logger = logging.getLogger(__name__)

MAX_NAME_CHARACTERS = 100

C = TypeVar("C", bound=Command)


class Publisher(Protocol):
    """What a connection needs of the publisher."""

    clock: Clock
    server_name: str
    secret: str | None
    worker_commands: WorkerCommands
    connections: set[MasterConnection]

    def may_connect(self) -> bool: ...
    def connection_lost(self, connection: MasterConnection) -> None: ...
    def subscribe(
        self, connection: MasterConnection, stream: Stream, since: int | None
    ) -> None: ...
    async def invalidate_cache(self, command: commands.InvalidateCache) -> None: ...


class MasterConnection(ReplicationConnection):
    """Greets, checks the worker's proof, and hands its commands on."""

    side = Side.MASTER
    peer_side = Side.WORKER

    def __init__(self, publisher: Publisher) -> None:
        super().__init__(publisher.clock)
        self.subscriptions: dict[str, Subscription] = {}
        self._publisher = publisher
        self._nonce = ""

    def connectionMade(self) -> None:
        """Greet the worker, and challenge it if there is a secret."""
        has_room = self._publisher.may_connect()
        super().connectionMade()
        self._publisher.connections.add(self)
        if not has_room:
            self.close_with_error("Too many connections", "too many")
            return
        self.send(commands.Server(self._publisher.server_name))
        self.send(commands.Version(PROTOCOL_VERSION))
        if self._publisher.secret is None:
            self._admit()
        else:
            self.only = commands.Auth
            self.MAX_LENGTH = MAX_UNAUTHENTICATED_LINE_BYTES
            self._nonce = make_nonce()
            self.send(commands.Challenge(self._nonce))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The worker has gone."""
        super().connectionLost(reason)
        self._publisher.connection_lost(self)

    def _admit(self) -> None:
        self.let_in()
        self.send_ping()

    def on_auth(self, command: commands.Auth) -> None:
        """Let the worker in if it knows the secret."""
        secret = self._publisher.secret
        if self.is_let_in or secret is None:
            raise ProtocolError("AUTH was not asked for")
        expected = digest(secret, self._nonce, self._publisher.server_name, command.name)
        if not is_right(command.digest, expected):
            raise ProtocolError("Authentication failed", "authentication")
        self.peer_name = command.name
        self._admit()

    def on_name(self, command: commands.Name) -> None:
        """Take the name; one that was proved cannot be changed."""
        name = command.text[:MAX_NAME_CHARACTERS]
        if self._publisher.secret is not None and name != self.peer_name:
            raise ProtocolError("NAME differs from the name in AUTH")
        self.peer_name = name
        logger.info("%r has said its name", self)

    def on_replicate(self, command: commands.Replicate) -> None:
        """Subscribe to one stream, or to all."""
        if command.stream == commands.Replicate.ALL:
            for stream in STREAMS:
                self._publisher.subscribe(self, stream, None)
            return
        found = stream_named(command.stream)
        if found is None:
            raise ProtocolError(f"There is no stream {command.stream[:40]}", "unknown stream")
        self._publisher.subscribe(self, found, command.token)

    def on_user_sync(self, command: commands.UserSync) -> None:
        self._hand_on(self._publisher.worker_commands.user_sync, command)

    def on_user_ip(self, command: commands.UserIp) -> None:
        self._hand_on(self._publisher.worker_commands.user_ip, command)

    def on_federation_ack(self, command: commands.FederationAck) -> None:
        self._hand_on(self._publisher.worker_commands.federation_ack, command)

    def on_remove_pusher(self, command: commands.RemovePusher) -> None:
        self._hand_on(self._publisher.worker_commands.remove_pusher, command)

    def on_invalidate_cache(self, command: commands.InvalidateCache) -> None:
        WORKER_COMMANDS.labels(command.NAME).inc()
        run_in_background(self._publisher.invalidate_cache, command)

    def _hand_on(self, act: Callable[[str, C], Awaitable[None]], command: C) -> None:
        """Count and act; a failure is logged and the connection stays."""
        WORKER_COMMANDS.labels(command.NAME).inc()
        run_in_background(act, self.connection_id, command)
