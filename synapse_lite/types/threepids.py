"""Third-party identifiers: email addresses and phone numbers (appendices, "3PID Types")."""

from __future__ import annotations

import re

import attrs

EMAIL = "email"
MSISDN = "msisdn"
MEDIUMS = (EMAIL, MSISDN)

MAX_ADDRESS_LENGTH = 254
"""Longest email address that mail servers take."""

_MAX_PHONE_LENGTH = 64

_EMAIL = re.compile(r"[^\s@\x00-\x1f\x7f<>\"(),:;\[\]\\]+@[^\s@\x00-\x1f\x7f<>\"(),:;\[\]\\]+\Z")
_INTERNATIONAL = re.compile(r"(?:\+|00)([1-9][0-9]{6,14})\Z")
_NATIONAL = re.compile(r"[0-9]{3,15}\Z")
_BETWEEN_DIGITS = str.maketrans("", "", " -./()\u00a0\u2010\u2011")


class InvalidThreepidError(ValueError):
    """Not an address of this medium."""


@attrs.frozen
class Threepid:
    """An address in canonical form."""

    medium: str
    address: str


def canonical_email(text: str) -> Threepid:
    """The identifier of an email address. Raises InvalidThreepidError."""
    address = text.strip().casefold()
    if len(address) > MAX_ADDRESS_LENGTH or _EMAIL.match(address) is None:
        raise InvalidThreepidError("This is not an email address")
    return Threepid(EMAIL, address)


def canonical_phone(text: str) -> Threepid | None:
    """The identifier of a phone number as people write it. Raises InvalidThreepidError.

    None for national numbers: what they stand for depends on each country's dialling plan, which
    is not known here, so no account has them.
    """
    digits = text.translate(_BETWEEN_DIGITS) if len(text) <= _MAX_PHONE_LENGTH else ""
    found = _INTERNATIONAL.match(digits)
    if found is not None:
        return Threepid(MSISDN, found[1])
    if _NATIONAL.match(digits) is None:
        raise InvalidThreepidError("This is not a phone number")
    return None


def canonical_threepid(medium: str, address: str) -> Threepid:
    """The identifier of an address of a medium; msisdn are digits. Raises InvalidThreepidError."""
    if medium == EMAIL:
        return canonical_email(address)
    found = _INTERNATIONAL.match(f"+{address.removeprefix('+')}") if medium == MSISDN else None
    if found is None:
        raise InvalidThreepidError("There is no such third-party identifier")
    return Threepid(MSISDN, found[1])
