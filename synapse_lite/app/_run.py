"""Starting and stopping a process: the same named steps for every kind.

`Runner.start` reads as a table of contents; `Runner.stop` undoes it backwards.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import ServerFactory

from .. import __version__
from ..config import Config
from ..config.listeners import Listener
from ..http.listen import Certificates, OpenListener, close_listeners, open_listener
from ..http.site import build_site
from ..replication.master import ReplicationPublisher
from ..replication.worker import ReplicationFollower
from ..rest import SERVLETS
from ..server import Homeserver
from ..storage._base import BaseStore, MasterStore
from ..storage.database import DatabasePool
from ..storage.engines import create_engine
from ..storage.heartbeats import Heart
from ..storage.leases import MASTER_LEASE, LeaseKeeper
from ..storage.processes import ProcessIdentity
from ..storage.schema.prepare import prepare_core, prepare_database, wait_for_database
from ..util.clock import Clock
from ._files import StartError, load_signing_key, notify_systemd
from ._process import DutyPart, Process

logger = logging.getLogger(__name__)


class Runner:
    """One running process."""

    def __init__(self, process: Process, config: Config, reactor: Any) -> None:
        self.process = process
        self.config = config
        self.reactor = reactor
        self.clock = Clock(reactor)
        self.name = config.worker.name or "master"
        self.identity = ProcessIdentity.of_this_process(self.name)
        self.certificates = Certificates(config.tls)
        self.lease: LeaseKeeper | None = None
        self.hs: Homeserver
        self.db: DatabasePool
        self._undo: list[tuple[str, Callable[[], Any]]] = []
        self._open: list[OpenListener] = []

    async def start(self) -> None:
        """Start the process. Raises StartError and the errors of storage and configuration."""
        self._open_database()
        if self.process.is_master:
            await self._become_master()
        else:
            await wait_for_database(self.db, self.clock)
        store = await self._build()
        if not self.process.is_master:
            await self._connect_to_master()
        self._listen(store)
        await self._start_heart()
        await self._start_duties()
        notify_systemd("READY=1")
        logger.info("%s (%s, version %s) is up", self.name, self.process.name, __version__)

    async def stop(self) -> None:
        """Stop what was started, last first. A step that fails is logged and does not hinder."""
        notify_systemd("STOPPING=1")
        while self._undo:
            name, undo = self._undo.pop()
            logger.debug("Stopping %s", name)
            try:
                await undo()
            except Exception:
                logger.exception("Stopping %s failed", name)
        logger.info("%s has stopped", self.name)

    def reload(self) -> None:
        """Read anew what may change while the process runs."""
        self.certificates.reload()

    def _open_database(self) -> None:
        self.db = DatabasePool(create_engine(self.config.database), self.reactor, self.clock)
        self.db.start()
        self._undo.append(("database", self.db.stop))

    async def _become_master(self) -> None:
        """Take the lease that only one process may hold, then bring the schema up to date."""
        await prepare_core(self.db)
        self.lease = LeaseKeeper(
            self.db, self.clock, MASTER_LEASE, self.identity, self._lease_was_lost
        )
        await self.lease.acquire()
        self._undo.append(("lease", self.lease.release))
        self.db.fence = self.lease.fence
        await prepare_database(self.db)

    def _lease_was_lost(self) -> None:
        """Another process is the master now: nothing here may go on."""
        logger.critical("The lease of the master was lost; this process ends at once")
        logging.shutdown()
        os._exit(1)

    async def _build(self) -> BaseStore:
        self.hs = Homeserver(
            self.config,
            self.clock,
            self.reactor,
            signing_key=load_signing_key(self.config, create=self.process.is_master),
            process_name=self.process.name,
            instance_name=self.name,
            bindings=self.process.bindings,
        )
        store = self.process.store(self.hs, self.db)
        self.hs.provide_store(store)
        self.hs.provide(DatabasePool, self.db)
        if isinstance(store, MasterStore):
            await store.load_positions()
        self.process.prepare(self.hs)
        return store

    async def _connect_to_master(self) -> None:
        """Follow the streams, and wait until this process knows where it stands."""
        follower = self.hs.part(ReplicationFollower)
        follower.start()
        self._undo.append(("replication", follower.stop))
        await follower.ready()

    def _listeners(self) -> tuple[Listener, ...]:
        if self.process.is_master:
            return self.config.server.listeners
        return self.config.worker.listeners

    def _listen(self, store: BaseStore) -> None:
        if any(listener.tls for listener in self._listeners()):
            try:
                self.certificates.load()
            except Exception as error:
                raise StartError(f"The TLS certificate cannot be used: {error}") from error
        self._undo.append(("listeners", self._close_listeners))
        for listener in self._listeners():
            factory = self._factory(listener)
            try:
                opened = open_listener(self.reactor, listener, factory, self.certificates)
            except CannotListenError as error:
                raise StartError(f"Port {listener.port} cannot be opened: {error}") from error
            self._open.append(opened)

    async def _close_listeners(self) -> None:
        await close_listeners(self._open, self.clock)

    def _factory(self, listener: Listener) -> IProtocolFactory:
        """What answers on a port."""
        if listener.type == "replication":
            if not self.process.is_master:
                raise StartError("Only the master has a listener of type replication")
            publisher = self.hs.part(ReplicationPublisher)
            self._undo.append(("replication", publisher.stop))
            factory: ServerFactory = publisher.factory
            return factory
        kinds = None if self.process.is_master else self.process.kinds
        return build_site(self.hs, listener, SERVLETS, kinds=kinds)

    async def _start_heart(self) -> None:
        heart = Heart(
            self.db,
            self.clock,
            self.identity,
            kind=self.process.name,
            version=__version__,
            addresses=[_address(listener) for listener in self._listeners()],
            lag=self._lag,
        )
        await heart.start()
        self._undo.append(("heartbeat", heart.stop))

    def _lag(self) -> dict[str, Any]:
        return {} if self.process.is_master else self.hs.part(ReplicationFollower).lag()

    async def _start_duties(self) -> None:
        for duty in self.process.duties:
            part: DutyPart = duty.part(self.hs)
            await part.start()
            self._undo.append((f"duty {duty.name}", part.stop))


def _address(listener: Listener) -> str:
    scheme = "https" if listener.tls else "http"
    if listener.type == "replication":
        scheme = "replication"
    return f"{scheme}://{listener.bind_addresses[0]}:{listener.port}"
