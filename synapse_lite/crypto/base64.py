"""Unpadded base64 (specification, appendices, "Unpadded Base64")."""

from __future__ import annotations

import base64
import binascii


class Base64Error(ValueError):
    """The text is not unpadded base64."""


def encode_base64(data: bytes, *, urlsafe: bool = False) -> str:
    """The bytes in base64 without trailing `=`."""
    encoded = base64.urlsafe_b64encode(data) if urlsafe else base64.b64encode(data)
    return encoded.rstrip(b"=").decode("ascii")


def decode_base64(text: str) -> bytes:
    """Decode base64 of either alphabet, padded or not. Raises Base64Error."""
    try:
        data = text.encode("ascii").translate(_TO_STANDARD).rstrip(b"=")
        return base64.b64decode(data + b"=" * (-len(data) % 4), validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise Base64Error("Not valid base64") from error


_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
