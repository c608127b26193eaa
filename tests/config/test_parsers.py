"""Parsers of single values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.trial import unittest

from synapse_lite.config import _parsers
from synapse_lite.config._problems import BadValueError, Source

SOURCE = Source("/etc/matrix/homeserver.yaml", "/etc/matrix")

GOOD: list[tuple[Callable[[Any, Source], Any], Any, Any]] = [
    (_parsers.size, 10, 10),
    (_parsers.size, "10M", 10 * 1024 * 1024),
    (_parsers.size, "512K", 512 * 1024),
    (_parsers.size, "1G", 1024**3),
    (_parsers.size, "2MB", 2 * 1024**2),
    (_parsers.size, "2MiB", 2 * 1024**2),
    (_parsers.duration, 1500, 1500),
    (_parsers.duration, "90s", 90_000),
    (_parsers.duration, "5m", 300_000),
    (_parsers.duration, "12h", 43_200_000),
    (_parsers.duration, "7d", 604_800_000),
    (_parsers.duration, "2w", 1_209_600_000),
    (_parsers.duration, "1y", 31_536_000_000),
    (_parsers.duration, "20ms", 20),
    (_parsers.path, "a/../b.yaml", "/etc/matrix/b.yaml"),
    (_parsers.path, "/var/x", "/var/x"),
    (_parsers.port, 65535, 65535),
    (_parsers.number, 3, 3.0),
    (_parsers.cpu_set, 0x5, frozenset({0, 2})),
    (_parsers.cpu_set, [1, 3], frozenset({1, 3})),
    (_parsers.address, "::1", "::1"),
    (_parsers.http_uri, "http://localhost:8008/", "http://localhost:8008"),
    (_parsers.server_name, "example.com:8448", "example.com:8448"),
    (_parsers.room_alias, "#a:b.c", "#a:b.c"),
]

BAD: list[tuple[Callable[[Any, Source], Any], Any]] = [
    (_parsers.size, "10X"),
    (_parsers.size, "M"),
    (_parsers.size, -1),
    (_parsers.size, True),
    (_parsers.size, 1.5),
    (_parsers.duration, "7 days"),
    (_parsers.duration, "-7d"),
    (_parsers.path, ""),
    (_parsers.path, 3),
    (_parsers.port, 0),
    (_parsers.port, 65536),
    (_parsers.port, True),
    (_parsers.port, "80"),
    (_parsers.number, float("nan")),
    (_parsers.number, float("inf")),
    (_parsers.number, -1),
    (_parsers.number, True),
    (_parsers.integer, True),
    (_parsers.boolean, "yes"),
    (_parsers.text, 12),
    (_parsers.mapping, {1: 2}),
    (_parsers.cpu_set, 0),
    (_parsers.cpu_set, []),
    (_parsers.cpu_set, [-1]),
    (_parsers.network, "10.0.0.0/99"),
    (_parsers.network, 10),
    (_parsers.address, "localhost"),
    (_parsers.http_uri, "matrix.example.com"),
    (_parsers.http_uri, "ftp://example.com"),
    (_parsers.server_name, "exa mple"),
    (_parsers.room_alias, "welcome"),
    (_parsers.process_name, "a b"),
    (_parsers.process_name, ""),
    (_parsers.at_least(3), 2),
    (_parsers.between(4, 31), 32),
    (_parsers.one_of("a", "b"), "c"),
    (_parsers.one_of("a", "b"), ["a"]),
]


class ParsersTestCase(unittest.TestCase):
    """What each accepts and refuses."""

    def test_good_values(self) -> None:
        for parse, value, expected in GOOD:
            self.assertEqual(parse(value, SOURCE), expected, (parse, value))

    def test_bad_values(self) -> None:
        for parse, value in BAD:
            with self.assertRaises(BadValueError, msg=f"{parse} {value}"):
                parse(value, SOURCE)

    def test_a_network_may_have_host_bits(self) -> None:
        self.assertEqual(str(_parsers.network("10.1.2.3/8", SOURCE)), "10.0.0.0/8")

    def test_a_type_without_parser_is_refused(self) -> None:
        self.assertRaises(TypeError, _parsers.parser_of_type, bytes)
