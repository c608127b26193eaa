"""The master's store: every area, with its writes."""

from __future__ import annotations

from ._base import MasterStore
from .account_data import AccountDataStore
from .aliases import AliasesStore
from .client_ips import ClientIpsStore
from .current_state import CurrentStateWorkerStore
from .events import EventsWorkerStore
from .filters import FiltersStore
from .guests import GuestsStore
from .memberships import MembershipsStore
from .persist_events import PersistEventsStore
from .presence import PresenceStore
from .public_rooms import PublicRoomsStore
from .push_rules import PushRulesStore
from .receipts import ReceiptsStore
from .recent_receipts import RecentReceiptsWorkerStore
from .registration import RegistrationStore
from .relations import RelationsWorkerStore
from .reports import ReportsStore
from .room_mates import RoomMatesWorkerStore
from .room_upgrades import RoomUpgradesStore
from .rooms import RoomsStore
from .search_index import SearchIndexStore
from .state_changes import StateChangesWorkerStore
from .state_groups import StateGroupsStore
from .tags import TagsStore
from .timeline import TimelineWorkerStore
from .typing import TypingStore
from .ui_auth import UiAuthStore
from .user_directory_upkeep import UserDirectoryStore


class DataStore(
    RegistrationStore,
    UiAuthStore,
    GuestsStore,
    ClientIpsStore,
    PersistEventsStore,
    RoomsStore,
    RoomUpgradesStore,
    ReportsStore,
    RelationsWorkerStore,
    AliasesStore,
    PublicRoomsStore,
    FiltersStore,
    AccountDataStore,
    TagsStore,
    RecentReceiptsWorkerStore,
    ReceiptsStore,
    TypingStore,
    PresenceStore,
    PushRulesStore,
    StateChangesWorkerStore,
    RoomMatesWorkerStore,
    MembershipsStore,
    SearchIndexStore,
    UserDirectoryStore,
    CurrentStateWorkerStore,
    TimelineWorkerStore,
    EventsWorkerStore,
    StateGroupsStore,
    MasterStore,
):
    """Everything."""
