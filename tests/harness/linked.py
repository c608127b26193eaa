"""A worker that follows its master over a connection, as real ones do, both in memory."""

from __future__ import annotations

from synapse_lite.app._process import Process
from synapse_lite.replication.master import ReplicationPublisher
from synapse_lite.replication.worker import ReplicationFollower

from .homeserver import Master, Server
from .replication import connect_in_memory


class LinkedWorker(Server):
    """A worker with a link: `flush` carries lines both ways, `link.cut` breaks it."""

    def __init__(self, process: Process, master: Master) -> None:
        super().__init__(process, master.hs.config, master.reactor, master.db.sharing())
        process.prepare(self.hs)
        self.follower = self.hs.part(ReplicationFollower)
        self.link = connect_in_memory(
            master.hs.part(ReplicationPublisher), self.follower, master.reactor
        )

    def flush(self) -> None:
        """Deliver everything that is on its way."""
        self.link.flush()

    def advance(self, seconds: float) -> None:
        """Let time pass, with lines delivered each second."""
        while seconds > 0:
            self.reactor.advance(min(seconds, 1.0))
            seconds -= 1.0
            self.flush()
