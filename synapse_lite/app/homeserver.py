"""The master: the only writer. It serves everything, and tells its workers what it has changed."""

from __future__ import annotations

from ..handlers.auth import AccountAuthenticator
from ..handlers.persistence import LocalEventSink
from ..http.authenticator import Authenticator
from ..replication.send_event import EventSink
from ..storage.datastore import DataStore
from ._main import main
from ._process import Process

MASTER = Process(
    name="master",
    purpose="Writes everything; serves everything that no worker serves.",
    store=DataStore,
    resources=("client", "federation", "media", "keys", "admin", "metrics", "health", "replication"),
    bindings={EventSink: LocalEventSink, Authenticator: AccountAuthenticator},
    many=False,
    is_master=True,
)

if __name__ == "__main__":
    main(MASTER)
