"""Redaction: the part of an event that always stays (room versions, "Redactions")."""

from __future__ import annotations

from ..api.constants import EventTypes
from ..util.json import JsonDict
from .room_versions import RoomVersion


def redact_pdu(pdu: JsonDict, room_version: RoomVersion) -> JsonDict:
    """A new PDU without what redaction removes; `unsigned` goes as well.

    Signatures and reference hashes are made over this form. Values that stay are shared with
    `pdu`.
    """
    rules = room_version.redaction_rules
    redacted = {key: value for key, value in pdu.items() if key in rules.top_level_keys}
    event_type = pdu["type"]
    content = pdu.get("content")
    if not isinstance(content, dict):
        redacted["content"] = {}
    elif event_type not in rules.whole_content:
        keep = rules.content_keys.get(event_type, ())
        redacted["content"] = {key: content[key] for key in keep if key in content}
        if event_type == EventTypes.MEMBER and rules.third_party_signed:
            _keep_third_party_signed(content, redacted["content"])
    return redacted


def _keep_third_party_signed(content: JsonDict, kept: JsonDict) -> None:
    invite = content.get("third_party_invite")
    if isinstance(invite, dict) and "signed" in invite:
        kept["third_party_invite"] = {"signed": invite["signed"]}
