"""The event_creator: creates events for clients; the master persists them."""

from __future__ import annotations

from ...storage._base import FollowerStore
from ...storage.account_data import AccountDataWorkerStore
from ...storage.accounts import AccountsWorkerStore
from ...storage.aliases import AliasesWorkerStore
from ...storage.current_state import CurrentStateWorkerStore
from ...storage.events import EventsWorkerStore
from ...storage.memberships import MembershipsWorkerStore
from ...storage.relations import RelationsWorkerStore
from ...storage.rooms import RoomsWorkerStore
from ...storage.state_groups import StateGroupsWorkerStore
from ...storage.timeline import TimelineWorkerStore
from .._process import Process
from ._worker import BINDINGS, RESOURCES


class EventCreatorStore(
    RoomsWorkerStore,
    RelationsWorkerStore,
    AliasesWorkerStore,
    AccountDataWorkerStore,
    CurrentStateWorkerStore,
    TimelineWorkerStore,
    MembershipsWorkerStore,
    StateGroupsWorkerStore,
    EventsWorkerStore,
    AccountsWorkerStore,
    FollowerStore,
):
    """What the event_creator reads."""


EVENT_CREATOR = Process(
    name="event_creator",
    purpose="Creates events for clients; the master persists them.",
    store=EventCreatorStore,
    resources=RESOURCES,
    bindings=BINDINGS,
)
