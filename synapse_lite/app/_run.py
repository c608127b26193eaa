"""Starting and stopping a process: the same named steps for every kind.

`Runner.start` reads as a table of contents; `Runner.stop` undoes it backwards.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IProtocolFactory

from .. import __version__
from ..config import Config
from ..config.listeners import Listener
from ..http.listen import Certificates, OpenListener, close_listeners, open_listener
from ..http.resources import with_included
from ..http.site import build_site
from ..replication.forwarding import MasterForwarder
from ..replication.master import ReplicationPublisher
from ..replication.worker import ReplicationFollower
from ..rest.catalogue import mounts_of
from ..server import Homeserver
from ..storage._base import MasterStore
from ..storage.background_updates import BackgroundUpdater
from ..storage.database import DatabasePool
from ..storage.declarations import check_declarations
from ..storage.engines import create_engine
from ..storage.heartbeats import Heart, ProcessAddress
from ..storage.leases import MASTER_LEASE, LeaseKeeper, wait_for_former_writers
from ..storage.metrics import DatabaseCollector
from ..storage.processes import ProcessIdentity
from ..storage.schema.prepare import prepare_core, prepare_database, wait_for_database
from ..storage.server_name import check_server_name
from ..streams import STREAMS
from ..util.clock import Clock
from ..util.metrics import REGISTRY, gauge
from ._errors import translate_store_error
from ._files import StartError, load_signing_key, notify_systemd
from ._process import DutyPart, Process

logger = logging.getLogger(__name__)

BUILD_INFO = gauge("build_info", "Which process this is; always 1.", ("version", "kind", "name"))

# Listeners may name these without a process doing anything about it.
_ALWAYS_ALLOWED = frozenset({"health", "metrics", "openid", "static", "consent"})


class Runner:
    """One running process."""

    def __init__(self, process: Process, config: Config, reactor: Any) -> None:
        self.process = process
        self.config = config
        self.reactor = reactor
        self.clock = Clock(reactor)
        self.name = config.worker.name or "master"
        self.certificates = Certificates(config.tls)
        self.hs: Homeserver
        self.db: DatabasePool
        self.identity: ProcessIdentity
        self._undo: list[tuple[str, Callable[[], Awaitable[object]]]] = []
        self._open: list[OpenListener] = []
        self._duty_parts: list[DutyPart] = []
        self.identify()

    def identify(self) -> None:
        """Find out which process this is: again, after it has gone to the background."""
        self.identity = ProcessIdentity.of_this_process(self.name)

    async def start(self) -> None:
        """Start the process. Raises StartError and the errors of storage and configuration."""
        self._check_listeners()
        self._open_database()
        if self.process.is_master:
            await self._become_master()
        else:
            await wait_for_database(self.db, self.clock)
        await self._build()
        if not self.process.is_master:
            await self._connect_to_master()
        self._listen()
        await self._start_heart()
        await self._start_duties()
        BUILD_INFO.labels(__version__, self.process.name, self.name).set(1)
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
        if any(listener.tls for listener in self._listeners()):
            self.certificates.reload()

    def _check_listeners(self) -> None:
        """Refuse a listener with something that this kind of process does not serve."""
        may_serve = with_included(frozenset(self.process.resources)) | _ALWAYS_ALLOWED
        for listener in self._listeners():
            unknown = sorted(listener.resource_names - may_serve)
            if unknown:
                raise StartError(
                    f"{self.name}: the listener on port {listener.port} names {unknown[0]}, which a"
                    f" {self.process.name} does not serve"
                )
            if listener.type == "replication" and not self.process.is_master:
                raise StartError("Only the master has a listener of type replication")

    def _open_database(self) -> None:
        self.db = DatabasePool(create_engine(self.config.database), self.reactor, self.clock)
        self.db.start()
        collector = DatabaseCollector(self.db)
        REGISTRY.register(collector)

        async def close() -> None:
            REGISTRY.unregister(collector)
            await self.db.stop()

        self._undo.append(("database", close))

    async def _become_master(self) -> None:
        """Take the lease that only one process may hold, then bring the schema up to date."""
        await prepare_core(self.db)
        lease = LeaseKeeper(self.db, self.clock, MASTER_LEASE, self.identity, self._lease_was_lost)
        self._undo.append(("lease", lease.release))
        await lease.acquire()
        await wait_for_former_writers(self.db, self.clock)
        self.db.fence = lease.fence
        self.db.on_commit_unknown = self._commit_is_unknown
        # Workers that wait for the database read the key as soon as that is there.
        load_signing_key(self.config, create=True)
        await prepare_database(self.db)
        await check_server_name(self.db, self.config.server.server_name)

    def _lease_was_lost(self) -> None:
        """Another process is the master now: nothing here may go on."""
        _end_at_once("The lease of the master was lost")

    def _commit_is_unknown(self) -> None:
        """Caches may not fit the database, and with them what workers are told."""
        _end_at_once("Whether a transaction was committed cannot be found out")

    async def _build(self) -> None:
        self.hs = Homeserver(
            self.config,
            self.clock,
            self.reactor,
            signing_key=load_signing_key(self.config, create=False),
            process_name=self.process.name,
            instance_name=self.name,
            bindings=self.process.bindings,
        )
        self.hs.provide(DatabasePool, self.db)
        updates = BackgroundUpdater(self.db, self.clock)
        self.hs.provide(BackgroundUpdater, updates)
        store = self.process.store(self.hs, self.db)
        self.hs.provide_store(store)
        if isinstance(store, MasterStore):
            check_declarations(self.process.store, STREAMS)
            await store.load_positions()
            self._undo.append(("positions", store.save_positions))
        self._undo.append(("parts", self._stop_parts))
        self.process.prepare(self.hs)
        if self.process.is_master:
            updates.start()

    async def _stop_parts(self) -> None:
        """Close down what has a `stop`, the newest first; the database has its own turn."""
        for part in reversed(self.hs.parts_built()):
            stop = getattr(part, "stop", None)
            if stop is None or any(part is other for other in (self.db, *self._duty_parts)):
                continue
            try:
                await stop()
            except Exception:
                logger.exception("Stopping %s failed", type(part).__name__)

    async def _connect_to_master(self) -> None:
        """Follow the streams, and wait until this process knows where it stands."""
        follower = self.hs.part(ReplicationFollower)
        self._undo.append(("replication", follower.stop))
        follower.start()
        await follower.ready()

    def _listeners(self) -> tuple[Listener, ...]:
        if self.process.is_master:
            return self.config.server.listeners
        return self.config.worker.listeners

    def _listen(self) -> None:
        """Open the ports. Everything behind all of them is built before the first is open."""
        if any(listener.tls for listener in self._listeners()):
            try:
                self.certificates.load()
            except Exception as error:
                raise StartError(f"The TLS certificate cannot be used: {error}") from error
        factories = [(listener, self._factory(listener)) for listener in self._listeners()]
        self._undo.append(("listeners", self._close_listeners))
        for listener, factory in factories:
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
            publisher = self.hs.part(ReplicationPublisher)
            self._undo.append(("replication", publisher.stop))
            factory: IProtocolFactory = publisher.factory
            return factory
        is_master = self.process.is_master
        kinds = None if is_master else self.process.kinds
        mounts = mounts_of(kinds)
        return build_site(
            self.hs,
            listener,
            mounts.servlets,
            elsewhere=mounts.elsewhere,
            kinds=kinds,
            serve_metrics=self.config.metrics.enable_metrics or not is_master,
            translate_error=translate_store_error,
            forwarder=None if is_master else self.hs.part(MasterForwarder),
        )

    async def _start_heart(self) -> None:
        heart = Heart(
            self.db,
            self.clock,
            self.identity,
            kind=self.process.name,
            version=__version__,
            addresses=addresses_of_listeners(self._listeners()),
            lag=self._lag,
        )
        await heart.start()
        self._undo.append(("heartbeat", heart.stop))

    def _lag(self) -> dict[str, Any]:
        return {} if self.process.is_master else self.hs.part(ReplicationFollower).lag()

    async def _start_duties(self) -> None:
        for duty in self.process.duties:
            part = duty.part(self.hs)
            self._duty_parts.append(part)
            self._undo.append((f"duty {duty.name}", part.stop))
            await part.start()


def _end_at_once(reason: str) -> None:
    logger.critical("%s; this process ends at once", reason)
    logging.shutdown()
    os._exit(1)


def addresses_of_listeners(listeners: Iterable[Listener]) -> list[ProcessAddress]:
    """What other processes are told of the listeners."""
    return [
        ProcessAddress(
            f"{_scheme(listener)}://{f'[{bound}]' if ':' in bound else bound}:{listener.port}",
            with_included(listener.resource_names),
        )
        for listener in listeners
        for bound in listener.bind_addresses
    ]


def _scheme(listener: Listener) -> str:
    if listener.type == "replication":
        return "replication"
    return "https" if listener.tls else "http"
