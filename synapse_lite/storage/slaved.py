"""Area stores over the base that follows the master, under the names by which workers know them."""

from __future__ import annotations

from ._base import FollowerStore
from .current_state import CurrentStateWorkerStore
from .events import EventsWorkerStore
from .memberships import MembershipsWorkerStore
from .state_groups import StateGroupsWorkerStore
from .timeline import TimelineWorkerStore


class SlavedEventsStore(
    TimelineWorkerStore,
    CurrentStateWorkerStore,
    MembershipsWorkerStore,
    StateGroupsWorkerStore,
    EventsWorkerStore,
    FollowerStore,
):
    """Everything about events: by id, timelines, current state, memberships, state groups."""
