"""Invites that redeem a third-party invite (room versions, rule for `third_party_invite`)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

from ...api.constants import EventTypes, Membership
from ...api.errors import ForbiddenError
from ...crypto.keys import KeyFormatError, SignatureError, decode_verify_key
from ...crypto.signing import signing_key_ids, verify_signed_json
from ...util.json import JsonDict
from ..event import Event, StateKey
from .room import membership_of

_MAX_VERIFICATIONS = 200
"""Most pairs of key and signature that are tried; each costs a verification."""


def check_third_party_invite(event: Event, state: Mapping[StateKey, Event]) -> None:
    """Raise ForbiddenError unless the invite is backed by m.room.third_party_invite."""
    target = event.state_key or ""
    if membership_of(target, state) == Membership.BAN:
        raise ForbiddenError(f"{target} is banned from the room")
    invite = event.content["third_party_invite"]
    signed = invite.get("signed") if isinstance(invite, dict) else None
    if not isinstance(signed, dict):
        raise ForbiddenError("The third-party invite is not signed")
    token = signed.get("token")
    if not isinstance(token, str) or "mxid" not in signed:
        raise ForbiddenError("The third-party invite lacks its mxid or token")
    if signed["mxid"] != target:
        raise ForbiddenError("The third-party invite is for another user")
    original = state.get((EventTypes.THIRD_PARTY_INVITE, token))
    if original is None:
        raise ForbiddenError("The room has no third-party invite with this token")
    if original.sender != event.sender:
        raise ForbiddenError("The third-party invite was sent by another user")
    if not _is_signed_by_any(signed, original):
        raise ForbiddenError("No key of the third-party invite has signed this invite")


def _is_signed_by_any(signed: JsonDict, original: Event) -> bool:
    attempts = _attempts(signed, original)
    for public_key, server, key_id in itertools.islice(attempts, _MAX_VERIFICATIONS):
        try:
            verify_signed_json(signed, server, decode_verify_key(key_id, public_key))
        except (KeyFormatError, SignatureError):
            continue
        return True
    return False


def _attempts(signed: JsonDict, original: Event) -> Iterator[tuple[str, str, str]]:
    signatures = signed.get("signatures")
    if not isinstance(signatures, dict):
        return
    for public_key in _public_keys(original.content):
        for server in signatures:
            for key_id in signing_key_ids(signed, server):
                yield public_key, server, key_id


def _public_keys(content: JsonDict) -> Iterator[str]:
    if isinstance(content.get("public_key"), str):
        yield content["public_key"]
    entries = content.get("public_keys")
    for entry in entries if isinstance(entries, list) else ():
        public_key = entry.get("public_key") if isinstance(entry, dict) else None
        if isinstance(public_key, str):
            yield public_key
