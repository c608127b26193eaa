"""Hashes, ids and signatures of events (server-server API, "Signing Events")."""

from __future__ import annotations

import hashlib
import hmac

from ..crypto.base64 import Base64Error, decode_base64, encode_base64
from ..crypto.keys import SigningKey, VerifyKey
from ..crypto.signing import signature_of
from ..util.json import JsonDict, encode_canonical_json
from .redaction import redact_pdu
from .room_versions import EventFormat, RoomVersion

_NOT_HASHED = frozenset({"unsigned", "signatures", "hashes"})


def content_hash(pdu: JsonDict) -> bytes:
    """SHA-256 of the whole event, the 32 bytes that `hashes.sha256` holds in base64."""
    hashed = {key: value for key, value in pdu.items() if key not in _NOT_HASHED}
    return hashlib.sha256(encode_canonical_json(hashed)).digest()


def check_content_hash(pdu: JsonDict) -> bool:
    """Whether `hashes.sha256` matches the event; if not, it has been redacted or altered."""
    hashes = pdu.get("hashes")
    claimed = hashes.get("sha256") if isinstance(hashes, dict) else None
    if not isinstance(claimed, str):
        return False
    try:
        return hmac.compare_digest(decode_base64(claimed), content_hash(pdu))
    except Base64Error:
        return False


def signed_bytes(pdu: JsonDict, room_version: RoomVersion) -> bytes:
    """What signatures and the reference hash cover: the redacted event without signatures."""
    redacted = redact_pdu(pdu, room_version)
    redacted.pop("signatures", None)
    return encode_canonical_json(redacted)


def reference_hash(pdu: JsonDict, room_version: RoomVersion) -> bytes:
    """SHA-256 over the part that survives redaction, 32 bytes."""
    return hashlib.sha256(signed_bytes(pdu, room_version)).digest()


def event_id_from_hash(digest: bytes, event_format: EventFormat) -> str:
    """The event id that a reference hash gives."""
    return "$" + encode_base64(digest, urlsafe=event_format is EventFormat.V4)


def event_id_of(pdu: JsonDict, room_version: RoomVersion) -> str:
    """The id of the event: its `event_id` in versions 1 and 2, its reference hash later."""
    if not room_version.event_id_is_hash:
        event_id: str = pdu["event_id"]
        return event_id
    return event_id_from_hash(reference_hash(pdu, room_version), room_version.event_format)


def add_hashes_and_signatures(
    pdu: JsonDict, room_version: RoomVersion, server_name: str, key: SigningKey
) -> bytes:
    """Set `hashes` and add our signature to the PDU in place.

    Answers the signed bytes, of which the reference hash is the SHA-256.
    """
    pdu["hashes"] = {"sha256": encode_base64(content_hash(pdu))}
    return add_signature(pdu, room_version, server_name, key)


def add_signature(
    pdu: JsonDict, room_version: RoomVersion, server_name: str, key: SigningKey
) -> bytes:
    """Add our signature to a hashed PDU in place, as invited servers do; answers signed bytes."""
    message = signed_bytes(pdu, room_version)
    signatures = pdu.get("signatures") or {}
    ours = {**signatures.get(server_name, {}), key.key_id: encode_base64(key.sign(message))}
    pdu["signatures"] = {**signatures, server_name: ours}
    return message


def verify_event_signature(
    pdu: JsonDict, room_version: RoomVersion, server_name: str, verify_key: VerifyKey
) -> None:
    """Check a server's signature of an event with this key. Raises SignatureError."""
    signature = signature_of(pdu, server_name, verify_key.key_id)
    verify_key.verify(signed_bytes(pdu, room_version), signature)
