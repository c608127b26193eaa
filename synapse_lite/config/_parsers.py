"""Parsers of single values: text, numbers, ports, sizes, durations, paths and networks."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from typing import Any

from synapse_lite.config._options import Parser
from synapse_lite.config._problems import BadValueError, Source
from synapse_lite.types.ids import InvalidIdError, is_server_name, parse_room_alias

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_SIZE_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_DURATION_UNITS = {
    "": 1,
    "ms": 1,
    "s": 1000,
    "m": 60 * 1000,
    "h": 60 * 60 * 1000,
    "d": 24 * 60 * 60 * 1000,
    "w": 7 * 24 * 60 * 60 * 1000,
    "y": 365 * 24 * 60 * 60 * 1000,
}


def text(value: Any, source: Source) -> str:
    """Non-empty or empty text; numbers must be quoted."""
    if not isinstance(value, str):
        raise BadValueError("text (put quotes around it)")
    return value


def boolean(value: Any, source: Source) -> bool:
    """true or false."""
    if not isinstance(value, bool):
        raise BadValueError("true or false")
    return value


def integer(value: Any, source: Source) -> int:
    """A whole number."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadValueError("a whole number")
    return value


def number(value: Any, source: Source) -> float:
    """A finite number that is not negative."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e300:
        raise BadValueError("a number of 0 or more")
    return float(value)


def mapping(value: Any, source: Source) -> Mapping[str, Any]:
    """A mapping with text keys."""
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise BadValueError("a mapping of names to values")
    return value


def at_least(minimum: int) -> Parser:
    """A whole number with a lower bound."""

    def parse(value: Any, source: Source) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value < minimum:
            raise BadValueError(f"a whole number of {minimum} or more")
        return value

    return parse


def between(minimum: int, maximum: int) -> Parser:
    """A whole number with both bounds."""

    def parse(value: Any, source: Source) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise BadValueError(f"a whole number from {minimum} to {maximum}")
        if not minimum <= value <= maximum:
            raise BadValueError(f"a whole number from {minimum} to {maximum}")
        return value

    return parse


def one_of(*choices: str) -> Parser:
    """One of some words."""

    def parse(value: Any, source: Source) -> str:
        if value not in choices:
            raise BadValueError("one of " + ", ".join(choices))
        return str(value)

    return parse


def port(value: Any, source: Source) -> int:
    """A TCP port, 1 to 65535."""
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 65535:
        raise BadValueError("a TCP port from 1 to 65535")
    return value


def size(value: Any, source: Source) -> int:
    """Bytes, as a number or with a unit: 512K, 50M, 1G (powers of 1024)."""
    return _with_unit(value, _SIZE_UNITS, r"([KMGT]?)(?:i?B)?", "a size such as 512K, 50M or 1G")


def duration(value: Any, source: Source) -> int:
    """Milliseconds, as a number or with a unit: 90s, 5m, 12h, 7d, 2w, 1y."""
    return _with_unit(
        value, _DURATION_UNITS, r"(ms|[smhdwy]?)", "a duration such as 90s, 5m, 12h or 7d"
    )


def _with_unit(value: Any, units: dict[str, int], unit: str, expected: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = re.fullmatch(r"(\d{1,15})\s*" + unit, value) if isinstance(value, str) else None
    if match is None:
        raise BadValueError(expected)
    return int(match[1]) * units[match[2]]


def path(value: Any, source: Source) -> str:
    """An absolute path; a relative one starts at the folder of the file that it stands in."""
    if not isinstance(value, str) or not value:
        raise BadValueError("a path")
    return os.path.normpath(os.path.join(source.folder, os.path.expanduser(value)))


def cpu_set(value: Any, source: Source) -> frozenset[int]:
    """CPUs as a list of numbers, or as a bit mask: 0x5 is the first and the third."""
    expected = "a list of CPU numbers such as [0, 2], or a bit mask such as 0x5"
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return frozenset(bit for bit in range(value.bit_length()) if value >> bit & 1)
    if not isinstance(value, list) or not value:
        raise BadValueError(expected)
    if not all(isinstance(cpu, int) and not isinstance(cpu, bool) and cpu >= 0 for cpu in value):
        raise BadValueError(expected)
    return frozenset(value)


def network(value: Any, source: Source) -> IpNetwork:
    """An address or a network in CIDR form."""
    try:
        return ipaddress.ip_network(value if isinstance(value, str) else "", strict=False)
    except ValueError:
        raise BadValueError("an IP address or network such as 10.0.0.0/8") from None


def address(value: Any, source: Source) -> str:
    """An IP address to listen on."""
    try:
        return str(ipaddress.ip_address(value if isinstance(value, str) else ""))
    except ValueError:
        raise BadValueError("an IP address such as 127.0.0.1 or '::1'") from None


def http_uri(value: Any, source: Source) -> str:
    """An http or https URI; a trailing slash is dropped."""
    if not isinstance(value, str) or not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", value):
        raise BadValueError("a URI such as https://matrix.example.com/")
    return value.rstrip("/")


def room_alias(value: Any, source: Source) -> str:
    """A room alias."""
    try:
        parse_room_alias(value)
    except InvalidIdError:
        raise BadValueError("a room alias such as '#welcome:example.com'") from None
    return str(value)


def process_name(value: Any, source: Source) -> str:
    """The name of a process: it becomes part of log lines, metrics and protocol lines."""
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", value):
        raise BadValueError("a name of letters, digits, '_', '-' and '.'")
    return value


def server_name(value: Any, source: Source) -> str:
    """A Matrix server name: a DNS name or IP literal, with an optional port."""
    if not isinstance(value, str) or not is_server_name(value):
        raise BadValueError("a server name such as example.com")
    return value


_BY_TYPE: dict[Any, Parser] = {
    str: text,
    bool: boolean,
    int: integer,
    float: number,
    Mapping[str, Any]: mapping,
}


def parser_of_type(hint: Any) -> Parser:
    """The parser of options that name none. Raises TypeError for types that have none."""
    try:
        return _BY_TYPE[hint]
    except KeyError:
        raise TypeError(f"Options of type {hint} need a parse function") from None
