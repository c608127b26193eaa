"""Area stores over the base that follows the master, under the names by which workers know them."""

from __future__ import annotations

from ._base import FollowerStore
from .account_data import AccountDataWorkerStore
from .accounts import AccountsWorkerStore
from .aliases import AliasesWorkerStore
from .current_state import CurrentStateWorkerStore
from .events import EventsWorkerStore
from .filters import FiltersWorkerStore
from .memberships import MembershipsWorkerStore
from .presence import PresenceWorkerStore
from .public_rooms import PublicRoomsWorkerStore
from .push_rules import PushRulesWorkerStore
from .receipts import ReceiptsWorkerStore
from .relations import RelationsWorkerStore
from .rooms import RoomsWorkerStore
from .state_groups import StateGroupsWorkerStore
from .tags import TagsWorkerStore
from .timeline import TimelineWorkerStore
from .typing import TypingWorkerStore
from .unread import UnreadWorkerStore


class SlavedEventsStore(
    UnreadWorkerStore,
    TimelineWorkerStore,
    CurrentStateWorkerStore,
    MembershipsWorkerStore,
    StateGroupsWorkerStore,
    RelationsWorkerStore,
    EventsWorkerStore,
    FollowerStore,
):
    """Everything about events: by id, timelines, states, memberships, relations, what is unread."""


class SlavedRoomsStore(RoomsWorkerStore, FollowerStore):
    """Versions and creators of rooms."""


class SlavedDirectoryStore(AliasesWorkerStore, FollowerStore):
    """Aliases of rooms."""


class SlavedPublicRoomsStore(PublicRoomsWorkerStore, FollowerStore):
    """The public room list."""


class SlavedReceiptsStore(ReceiptsWorkerStore, FollowerStore):
    """Who has read what."""


class SlavedTypingStore(TypingWorkerStore, FollowerStore):
    """Who is typing."""


class SlavedPresenceStore(PresenceWorkerStore, FollowerStore):
    """Who is online."""


class SlavedAccountDataStore(AccountDataWorkerStore, TagsWorkerStore, FollowerStore):
    """What users keep on the server for themselves, tags of rooms included."""


class SlavedPushRulesStore(PushRulesWorkerStore, FollowerStore):
    """Push rules."""


class SlavedFiltersStore(FiltersWorkerStore, FollowerStore):
    """Filters of clients."""


class SlavedRegistrationStore(AccountsWorkerStore, FollowerStore):
    """Users, access tokens, devices and profiles."""


SLAVED_STORES: tuple[type[FollowerStore], ...] = (
    SlavedEventsStore,
    SlavedRoomsStore,
    SlavedDirectoryStore,
    SlavedPublicRoomsStore,
    SlavedReceiptsStore,
    SlavedTypingStore,
    SlavedPresenceStore,
    SlavedAccountDataStore,
    SlavedPushRulesStore,
    SlavedFiltersStore,
    SlavedRegistrationStore,
)
