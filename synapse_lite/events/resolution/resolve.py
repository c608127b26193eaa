"""The entry to state resolution: shortcuts, then the algorithm of the room version."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from ..event import StateKey
from ..room_versions import RoomVersion, StateResolutionVersion
from .loader import EventLoader
from .v1 import resolve_v1
from .v2 import resolve_v2, resolve_v2_1

StateIds = Mapping[StateKey, str]
"""A state: event ids by type and state key."""

_Algorithm = Callable[[Sequence[StateIds], EventLoader], Awaitable[dict[StateKey, str]]]

_ALGORITHMS: dict[StateResolutionVersion, _Algorithm] = {
    StateResolutionVersion.V1: resolve_v1,
    StateResolutionVersion.V2: resolve_v2,
    StateResolutionVersion.V2_1: resolve_v2_1,
}


async def resolve_state(
    room_version: RoomVersion, state_sets: Sequence[StateIds], loader: EventLoader
) -> dict[StateKey, str]:
    """The resolution of the states; their order does not matter.

    Equal states count once, and when only one is left it is the answer and nothing is loaded.
    """
    distinct: list[StateIds] = []
    for state_set in state_sets:
        if state_set not in distinct:
            distinct.append(state_set)
    if not distinct:
        return {}
    if len(distinct) == 1:
        return dict(distinct[0])
    return await _ALGORITHMS[room_version.state_resolution](distinct, loader)
