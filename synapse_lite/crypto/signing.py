"""Signing JSON (specification, appendices, "Signing JSON").

The key types are here by name too, so that one import serves those who sign or verify.
"""

from __future__ import annotations

from ..util.json import JsonDict, encode_canonical_json
from .base64 import Base64Error, decode_base64, encode_base64
from .keys import (
    KeyFormatError,
    SignatureError,
    SigningKey,
    VerifyKey,
    decode_verify_key,
    generate_signing_key,
    read_signing_keys,
    write_signing_key,
)

__all__ = [
    "KeyFormatError",
    "SignatureError",
    "SigningKey",
    "VerifyKey",
    "decode_verify_key",
    "generate_signing_key",
    "read_signing_keys",
    "sign_json",
    "signature_of",
    "signing_key_ids",
    "verify_signed_json",
    "write_signing_key",
]


def _bytes_to_sign(obj: JsonDict) -> bytes:
    return encode_canonical_json(
        {key: value for key, value in obj.items() if key not in ("signatures", "unsigned")}
    )


def sign_json(obj: JsonDict, server_name: str, key: SigningKey) -> JsonDict:
    """A copy of the object with our signature added to its `signatures`."""
    signature = encode_base64(key.sign(_bytes_to_sign(obj)))
    signatures = {name: dict(by_key) for name, by_key in obj.get("signatures", {}).items()}
    signatures.setdefault(server_name, {})[key.key_id] = signature
    return {**obj, "signatures": signatures}


def signing_key_ids(obj: JsonDict, server_name: str) -> list[str]:
    """Ids of the Ed25519 keys with which the object claims to be signed by this server."""
    signatures = obj.get("signatures")
    by_key = signatures.get(server_name) if isinstance(signatures, dict) else None
    if not isinstance(by_key, dict):
        return []
    return [key_id for key_id in by_key if key_id.startswith("ed25519:")]


def signature_of(obj: JsonDict, server_name: str, key_id: str) -> bytes:
    """The decoded signature. Raises SignatureError when there is none or it is not base64."""
    signatures = obj.get("signatures")
    by_key = signatures.get(server_name) if isinstance(signatures, dict) else None
    encoded = by_key.get(key_id) if isinstance(by_key, dict) else None
    if not isinstance(encoded, str):
        raise SignatureError(f"There is no signature of {server_name} with {key_id}")
    try:
        return decode_base64(encoded)
    except Base64Error as error:
        raise SignatureError(f"The signature of {server_name} is not base64") from error


def verify_signed_json(obj: JsonDict, server_name: str, verify_key: VerifyKey) -> None:
    """Check the server's signature with this key. Raises SignatureError."""
    signature = signature_of(obj, server_name, verify_key.key_id)
    verify_key.verify(_bytes_to_sign(obj), signature)
