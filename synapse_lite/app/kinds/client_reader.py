"""The client_reader: answers what clients only read: state, history, profiles, lists of rooms."""

from __future__ import annotations

from ...storage._base import FollowerStore
from ...storage.account_data import AccountDataWorkerStore
from ...storage.accounts import AccountsWorkerStore
from ...storage.aliases import AliasesWorkerStore
from ...storage.current_state import CurrentStateWorkerStore
from ...storage.events import EventsWorkerStore
from ...storage.filters import FiltersWorkerStore
from ...storage.memberships import MembershipsWorkerStore
from ...storage.presence import PresenceWorkerStore
from ...storage.public_rooms import PublicRoomsWorkerStore
from ...storage.push_rules import PushRulesWorkerStore
from ...storage.relations import RelationsWorkerStore
from ...storage.rooms import RoomsWorkerStore
from ...storage.search import SearchWorkerStore
from ...storage.state_groups import StateGroupsWorkerStore
from ...storage.tags import TagsWorkerStore
from ...storage.timeline import TimelineWorkerStore
from ...storage.unread import UnreadWorkerStore
from ...storage.user_directory import UserDirectoryWorkerStore
from .._process import Process
from ._worker import BINDINGS, RESOURCES


class ClientReaderStore(
    SearchWorkerStore,
    UserDirectoryWorkerStore,
    CurrentStateWorkerStore,
    TimelineWorkerStore,
    MembershipsWorkerStore,
    RoomsWorkerStore,
    RelationsWorkerStore,
    AliasesWorkerStore,
    PublicRoomsWorkerStore,
    PresenceWorkerStore,
    FiltersWorkerStore,
    AccountDataWorkerStore,
    TagsWorkerStore,
    PushRulesWorkerStore,
    UnreadWorkerStore,
    StateGroupsWorkerStore,
    EventsWorkerStore,
    AccountsWorkerStore,
    FollowerStore,
):
    """What the client_reader reads."""


CLIENT_READER = Process(
    name="client_reader",
    purpose="Answers what clients only read: state, history, profiles, lists of rooms.",
    store=ClientReaderStore,
    resources=RESOURCES,
    bindings=BINDINGS,
)
