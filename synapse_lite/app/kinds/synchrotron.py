"""The synchrotron: answers /sync, and what clients used before it."""

from __future__ import annotations

from ...storage._base import FollowerStore
from ...storage.account_data import AccountDataWorkerStore
from ...storage.accounts import AccountsWorkerStore
from ...storage.events import EventsWorkerStore
from ...storage.filters import FiltersWorkerStore
from ...storage.presence import PresenceWorkerStore
from ...storage.public_rooms import PublicRoomsWorkerStore
from ...storage.push_rules import PushRulesWorkerStore
from ...storage.recent_receipts import RecentReceiptsWorkerStore
from ...storage.relations import RelationsWorkerStore
from ...storage.room_mates import RoomMatesWorkerStore
from ...storage.state_changes import StateChangesWorkerStore
from ...storage.state_groups import StateGroupsWorkerStore
from ...storage.tags import TagsWorkerStore
from ...storage.timeline import TimelineWorkerStore
from ...storage.typing import TypingWorkerStore
from ...storage.unread import UnreadWorkerStore
from .._process import Process
from ._worker import BINDINGS, RESOURCES


class SynchrotronStore(
    RoomMatesWorkerStore,
    StateChangesWorkerStore,
    RelationsWorkerStore,
    TimelineWorkerStore,
    FiltersWorkerStore,
    AccountDataWorkerStore,
    TagsWorkerStore,
    PublicRoomsWorkerStore,
    PushRulesWorkerStore,
    UnreadWorkerStore,
    RecentReceiptsWorkerStore,
    TypingWorkerStore,
    PresenceWorkerStore,
    StateGroupsWorkerStore,
    EventsWorkerStore,
    AccountsWorkerStore,
    FollowerStore,
):
    """What the synchrotron reads."""


SYNCHROTRON = Process(
    name="synchrotron",
    purpose="Answers /sync, and what clients used before it.",
    store=SynchrotronStore,
    resources=RESOURCES,
    sticky=True,
    bindings=BINDINGS,
)
