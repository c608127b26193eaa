"""What this server knows of an event beyond the event itself."""

from __future__ import annotations

import attrs

from ..util.json import JsonDict


@attrs.define
class EventMetadata:
    """Internal metadata; never leaves the server's own processes.

    `outlier`: the state before the event is not known. `soft_failed`: valid, but not shown to
    clients nor built upon (server-server API, "Soft failure"). `rejected_reason`: why the
    authorisation rules refused it. `redacted_by`: id of the redaction that applies. `txn_id` and
    `device_id`: where a local event came from. `state_group`: the stored state after the event.
    `replaces_state`: id of the state event that it replaced, in the state before it.
    """

    outlier: bool = False
    soft_failed: bool = False
    rejected_reason: str | None = None
    stream_ordering: int | None = None
    redacted_by: str | None = None
    txn_id: str | None = None
    device_id: str | None = None
    state_group: int | None = None
    replaces_state: str | None = None

    def to_json(self) -> JsonDict:
        """The fields that differ from their defaults."""
        return {
            field.name: getattr(self, field.name)
            for field in attrs.fields(EventMetadata)
            if getattr(self, field.name) != field.default
        }

    @classmethod
    def from_json(cls, data: JsonDict) -> EventMetadata:
        """The opposite of `to_json`; keys that this version does not know are passed over."""
        return cls(**{key: value for key, value in data.items() if key in _FIELDS})


_FIELDS = frozenset(field.name for field in attrs.fields(EventMetadata))
