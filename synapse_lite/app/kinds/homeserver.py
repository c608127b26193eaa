"""The master: the only writer. It serves everything, and tells its workers what it has changed."""

from __future__ import annotations

from ...handlers.account_tasks import AccountTasks
from ...handlers.auth import AccountAuthenticator
from ...handlers.client_ips import ClientIps, MasterClientIps
from ...handlers.guest_access import GuestAccessDuty
from ...handlers.persistence import LocalEventSink
from ...handlers.presence import PresenceHandler
from ...handlers.room_following import RoomFollowing
from ...handlers.room_upgrade import RoomUpgradeHandler
from ...handlers.search_index import SearchIndexer
from ...handlers.sessions import MasterTokenConfirmation
from ...handlers.syncing_users import MasterSyncingUsers, SyncingUsers
from ...handlers.token_expiry import TokenExpiry
from ...handlers.ui_auth import UiAuthHandler
from ...handlers.user_directory_upkeep import UserDirectoryUpkeep
from ...handlers.worker_commands import WorkerCommandsHandler
from ...http.authenticator import Authenticator
from ...replication.send_event import EventSink
from ...replication.token_confirmation import TokenConfirmation
from ...replication.worker_commands import WorkerCommands
from ...storage.datastore import DataStore
from .._process import Duty, Process

MASTER = Process(
    name="master",
    purpose="Writes everything; serves everything that no worker serves.",
    store=DataStore,
    resources=(
        "client",
        "federation",
        "media",
        "keys",
        "admin",
        "metrics",
        "health",
        "replication",
    ),
    bindings={
        EventSink: LocalEventSink,
        Authenticator: AccountAuthenticator,
        ClientIps: MasterClientIps,
        TokenConfirmation: MasterTokenConfirmation,
        SyncingUsers: MasterSyncingUsers,
        WorkerCommands: WorkerCommandsHandler,
    },
    duties=(
        Duty(
            "client_ips",
            "Writes down where the requests of users come from.",
            lambda hs: hs.part(MasterClientIps),
        ),
        Duty(
            "presence",
            "Notes that users become idle and go offline, and writes presence down.",
            lambda hs: hs.part(PresenceHandler),
        ),
        Duty(
            "ui_auth_expiry",
            "Forgets sessions of user-interactive authentication that were not finished.",
            lambda hs: hs.part(UiAuthHandler),
        ),
        Duty(
            "token_expiry",
            "Forgets tokens that have expired or have been superseded.",
            lambda hs: hs.part(TokenExpiry),
        ),
        Duty(
            "guest_access",
            "Puts guests out of rooms that do not let guests in any more.",
            lambda hs: hs.part(GuestAccessDuty),
        ),
        Duty(
            "account_tasks",
            "Tells rooms of new names and pictures, joins rooms for new users, leaves them for"
            " deactivated ones.",
            lambda hs: hs.part(AccountTasks),
        ),
        Duty(
            "room_upgrades",
            "Completes upgrades of rooms that were cut short.",
            lambda hs: hs.part(RoomUpgradeHandler),
        ),
        Duty(
            "room_following",
            "Carries tags, push rules and direct chats over into the rooms that replace others.",
            lambda hs: hs.part(RoomFollowing),
        ),
        Duty(
            "search_index",
            "Indexes messages, so that they can be searched for.",
            lambda hs: hs.part(SearchIndexer),
        ),
        Duty(
            "user_directory",
            "Keeps the user directory up to date.",
            lambda hs: hs.part(UserDirectoryUpkeep),
        ),
    ),
    many=False,
    is_master=True,
)
