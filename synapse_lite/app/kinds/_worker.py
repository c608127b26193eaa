"""What all kinds of worker have in common."""

from __future__ import annotations

from ...handlers.auth import AccountAuthenticator
from ...handlers.client_ips import ClientIps, WorkerClientIps
from ...handlers.syncing_users import SyncingUsers, WorkerSyncingUsers
from ...http.authenticator import Authenticator
from ...replication.send_event import EventSink, MasterEventSink
from ...replication.token_confirmation import TokenConfirmation, WorkerTokenConfirmation

RESOURCES = ("client", "metrics", "health")
"""What the listeners of a worker that serves clients may name."""

BINDINGS: dict[type, type] = {
    EventSink: MasterEventSink,
    Authenticator: AccountAuthenticator,
    ClientIps: WorkerClientIps,
    TokenConfirmation: WorkerTokenConfirmation,
    SyncingUsers: WorkerSyncingUsers,
}
"""What stands for interfaces in a worker."""
