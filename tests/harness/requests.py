"""Requests as no client should make them: made of the specification's schemas, and of plain junk.

A request is drawn before there is a server: what a server makes up, such as the id of a room, is a
`Known` until `resolve` puts it in.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import attrs
from hypothesis import strategies as st

from synapse_lite.api.constants import EventTypes
from synapse_lite.http.endpoint import Endpoint

from .openapi import dereferenced, described_operation

Draw = Callable[[st.SearchStrategy[Any]], Any]

DEPTH = 4
"""How deep a drawn schema goes; what lies deeper becomes junk."""


@attrs.frozen
class Known:
    """Something that the server under test has: `name` says what, `tail` is put after it."""

    name: str
    tail: str = ""


@attrs.frozen
class DrawnRequest:
    """A request; `caller` names who makes it. `body` is None, bytes, or JSON with `Known`s."""

    method: str
    template: str
    path: Mapping[str, Any]
    query: Sequence[tuple[str, Any]]
    body: Any
    headers: Mapping[str, str]
    caller: str

    def target(self, known: Mapping[str, str]) -> str:
        """Path and query string, as they are sent."""
        path = re.sub(
            r"\{(\w+)\}", lambda match: _segment(self.path[match.group(1)], known), self.template
        )
        pairs = [
            f"{quote(name, safe='')}={_segment(value, known, safe='')}"
            for name, value in self.query
        ]
        return f"{path}?{'&'.join(pairs)}" if pairs else path

    def encoded_body(self, known: Mapping[str, str]) -> bytes | None:
        """The bytes of the body. JSON is written by a module that lets everything pass."""
        if self.body is None or isinstance(self.body, bytes):
            return self.body
        return json.dumps(resolve(self.body, known)).encode("ascii")


@attrs.frozen
class Undecoded:
    """Part of a path or a query string that is sent as it stands."""

    text: str


def resolve(value: Any, known: Mapping[str, str]) -> Any:
    """The value with what the server has in place of each `Known`."""
    if isinstance(value, Known):
        return known.get(value.name, value.name) + value.tail
    if isinstance(value, dict):
        return {resolve(key, known): resolve(item, known) for key, item in value.items()}
    if isinstance(value, list):
        return [resolve(item, known) for item in value]
    return value


def _segment(value: Any, known: Mapping[str, str], safe: str = "") -> str:
    if isinstance(value, Undecoded):
        return value.text
    found = resolve(value, known)
    text = found if isinstance(found, str) else json.dumps(found)
    return quote(text.encode("utf-8", "surrogatepass"), safe=safe)


KNOWN = (
    "room",
    "public_room",
    "old_room",
    "other_room",
    "alice",
    "bob",
    "carol",
    "stranger",
    "message",
    "state_event",
    "other_event",
    "alias",
    "device",
    "filter",
    "since",
    "page",
    "list_page",
    "rule",
    "session",
    "tag",
    "type",
    "token",
)

_LONG = "".join(chr(0x4E00 + number * 7919 % 20000) for number in range(3000))
"""Cannot be compressed, so that it is too large for an index where it is put into one."""

TEXTS = (
    "",
    "x",
    "0",
    "-1",
    "1.5",
    "null",
    "true",
    "{}",
    "..",
    ".",
    "/",
    "%00",
    "%2F",
    "\0",
    "a\0b",
    "\ud800",
    "\udfff\ud800",
    "\ufffe",
    "\U0001f600",
    "e\u0301",
    "\u202e\u200b",
    "\r\n",
    "\x7f",
    "İı",
    " ",
    "'; DROP TABLE events; --",
    _LONG,
    _LONG[:85],
    "a" * 255,
    "a" * 256,
    "é" * 200,
    "b" * 5000,
    "!x:test",
    "!:",
    "!",
    "@x:test",
    "@:test",
    "@x:",
    "@X Y:test",
    "@x:other.example",
    "@" + "u" * 300 + ":test",
    "#x:test",
    "#:",
    "#x:other.example",
    "$x",
    "$x:test",
    "$" + "e" * 43,
    "mxc://test/x",
    "mxc://",
    "m.tag",
    "m.read",
    "m.fully_read",
    "m.read.private",
    "m.push_rules",
    "displayname",
    "avatar_url",
    "m.tz",
    "enabled",
    "actions",
    "content",
    "override",
    "room",
    "sender",
    ".m.rule.master",
    "join",
    "leave",
    "ban",
    "invite",
    "knock",
    "s0_0_0_0_0_0_0_0_0",
    "s" + "9" * 30,
    "t1-1",
    "t" + "9" * 19 + "-" + "9" * 19,
    "s-1",
    "s9223372036854775807",
    "s9223372036854775808",
    "9" * 18,
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551616",
    "9" * 400,
    "\u0661\u0662",
    "١",
    "²",
    "_",
    "1_0",
    "1e3",
    "0x10",
    "+1",
    "main",
    '{"limit":0}',
    '{"room":{"timeline":{"limit":-1}}}',
    '{"types":["\\u0000"],"senders":["\\ud800"]}',
    '{"lazy_load_members":1,"not_rooms":{}}',
    "[" * 200,
)

NUMBERS = (
    0,
    1,
    -1,
    50,
    100,
    101,
    2**31,
    2**32,
    2**53 - 1,
    2**53,
    -(2**53),
    -(2**53) + 1,
    2**63 - 1,
    2**63,
    -(2**63),
    -(2**63) - 1,
    2**64,
    10**100,
    0.0,
    1.0,
    -0.0,
    1.5,
    1e16,
    1e308,
    -1e-300,
    float("nan"),
    float("inf"),
)

EVENT_TYPES = (
    *(value for name, value in vars(EventTypes).items() if name.isupper() and value),
    "m.reaction",
    "org.example.custom",
    "m.space.child",
    "m.call.invite",
)

KEYS = (
    "membership",
    "displayname",
    "avatar_url",
    "reason",
    "join_authorised_via_users_server",
    "third_party_invite",
    "users",
    "users_default",
    "events",
    "events_default",
    "state_default",
    "ban",
    "kick",
    "redact",
    "invite",
    "notifications",
    "name",
    "topic",
    "m.topic",
    "url",
    "alias",
    "alt_aliases",
    "aliases",
    "join_rule",
    "allow",
    "deny",
    "history_visibility",
    "guest_access",
    "room_version",
    "predecessor",
    "additional_creators",
    "creator",
    "m.federate",
    "type",
    "m.relates_to",
    "m.new_content",
    "redacts",
    "body",
    "msgtype",
    "algorithm",
    "replacement_room",
    "pinned",
    "public_keys",
    "via",
    "event_id",
    "key",
    "rel_type",
    "m.in_reply_to",
    "is_falling_back",
    "m.mentions",
    "",
    "\0",
    "\ud800",
    "unsigned",
    "state_key",
)

_KNOWN = st.builds(Known, st.sampled_from(KNOWN), st.sampled_from(("", "", "", "x", "\0")))
_TEXT = st.one_of(
    st.sampled_from(TEXTS), _KNOWN, _KNOWN, st.text(max_size=8), st.sampled_from(EVENT_TYPES)
)
_SCALAR = st.one_of(_TEXT, st.sampled_from(NUMBERS), st.sampled_from((None, True, False, [], {})))
_KEY = st.one_of(st.sampled_from(KEYS), st.sampled_from(KEYS), _TEXT)


def _nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value] if depth % 2 else {"a": value}
    return value


JUNK = st.one_of(
    _SCALAR,
    _SCALAR,
    st.lists(_SCALAR, max_size=3),
    st.dictionaries(_KEY, _SCALAR, max_size=3),
    st.dictionaries(_KEY, st.dictionaries(_KEY, _SCALAR, max_size=2), max_size=2),
    st.sampled_from((98, 99, 102, 150)).map(_nested),
)
"""Any JSON, mostly what has confused servers before."""

_BYTES = st.sampled_from(
    (
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"1e999",
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b'{"a":NaN}',
        b'{"a":1,"a":2}',
        b'{"a":"\\ud800"}',
        b'{"\\u0000":"\\u0000"}',
        b'{"a":' * 20_000,
        b"[" * 100_000,
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"' + b"x" * 70_000 + b'"}',
        b'{"users":{"' + b"x" * 70_000 + b'":1}}',
    )
)

_CONTENTS: Mapping[str, tuple[str, ...]] = {
    EventTypes.MEMBER: (
        "membership",
        "displayname",
        "avatar_url",
        "reason",
        "third_party_invite",
        "join_authorised_via_users_server",
    ),
    EventTypes.POWER_LEVELS: (
        "users",
        "users_default",
        "events",
        "events_default",
        "state_default",
        "ban",
        "kick",
        "redact",
        "invite",
        "notifications",
    ),
    EventTypes.CREATE: ("creator", "room_version", "type", "predecessor", "additional_creators"),
    EventTypes.JOIN_RULES: ("join_rule", "allow"),
    EventTypes.HISTORY_VISIBILITY: ("history_visibility",),
    EventTypes.GUEST_ACCESS: ("guest_access",),
    EventTypes.CANONICAL_ALIAS: ("alias", "alt_aliases"),
    EventTypes.NAME: ("name",),
    EventTypes.TOPIC: ("topic", "m.topic"),
    EventTypes.AVATAR: ("url",),
    EventTypes.ENCRYPTION: ("algorithm",),
    EventTypes.MESSAGE: ("msgtype", "body", "m.relates_to", "m.new_content", "url"),
    EventTypes.REDACTION: ("redacts", "reason"),
    EventTypes.TOMBSTONE: ("body", "replacement_room"),
    EventTypes.SERVER_ACL: ("allow", "deny", "allow_ip_literals"),
    EventTypes.PINNED_EVENTS: ("pinned",),
    EventTypes.THIRD_PARTY_INVITE: ("display_name", "public_key", "public_keys"),
    "m.reaction": ("m.relates_to",),
}
"""What the server looks at in events of a type."""

_MESSAGES = (EventTypes.MESSAGE, EventTypes.REDACTION, "m.reaction")

_BY_NAME: Mapping[str, tuple[Any, ...]] = {
    "room_id": (Known("room"), Known("public_room"), Known("other_room"), Known("old_room")),
    "room_id_or_alias": (Known("room"), Known("alias"), Known("public_room"), Known("other_room")),
    "room_alias": (Known("alias"), "#new:test", "#" + "n" * 249 + ":test"),
    "room_alias_name": ("name", "n" * 249, "n" * 250),
    "user_id": (Known("alice"), Known("alice"), Known("bob"), Known("carol")),
    "user": (Known("alice"), "alice", "bob"),
    "invite": (Known("bob"), Known("carol")),
    "username": ("alice", "newcomer", "n" * 250, "_x", "12345", "Capital"),
    "password": ("secret password", "secret password", "p" * 600),
    "new_password": ("secret password", "p" * 600),
    "event_id": (Known("message"), Known("state_event"), Known("other_event")),
    "redacts": (Known("message"), Known("state_event"), Known("message", "\0")),
    "event_type": EVENT_TYPES,
    "state_key": ("", "", "", Known("alice"), Known("bob"), "x", "@new:test"),
    "device_id": (Known("device"), "NEW", "d" * 256),
    "devices": (Known("device"),),
    "filter_id": (Known("filter"), "0", "1", "2"),
    "filter": (Known("filter"), '{"room":{"timeline":{"limit":2,"lazy_load_members":true}}}'),
    "since": (Known("since"), Known("list_page")),
    "from": (Known("page"), Known("since")),
    "to": (Known("page"), Known("since")),
    "at": (Known("since"), Known("page")),
    "dir": ("b", "f"),
    "limit": (0, 1, 5, 10**9),
    "timeout": (0, 1, 10**9),
    "ts": (0, 1_700_000_000_000, 2**63 - 1, 2**53),
    "kind": ("override", "underride", "content", "room", "sender", "user", "guest"),
    "rule_id": (Known("rule"), ".m.rule.master", Known("room"), Known("bob"), "new.rule"),
    "before": (Known("rule"), ".m.rule.master"),
    "after": (Known("rule"), ".m.rule.master"),
    "attribute": ("enabled", "actions"),
    "actions": ("notify", "dont_notify"),
    "enabled": (True, False),
    "typing": (True, False),
    "receipt_type": ("m.read", "m.read.private", "m.fully_read"),
    "thread_id": ("main", Known("message")),
    "m.read": (Known("message"),),
    "m.fully_read": (Known("message"),),
    "key_name": ("displayname", "avatar_url", "m.tz", "org.example.key"),
    "displayname": ("Alice", "D" * 256),
    "avatar_url": ("mxc://test/x",),
    "data_type": (Known("type"), "m.push_rules", "m.fully_read", "m.tag", "m.direct"),
    "tag": (Known("tag"), "m.favourite"),
    "order": (0.5, 1),
    "session": (Known("session"),),
    "access_token": (Known("token"),),
    "room_version": tuple(str(number) for number in range(1, 13)),
    "type": ("m.login.password", "m.login.dummy", "m.room.topic", "m.space"),
    "membership": ("join", "leave", "invite", "ban", "knock"),
    "join_rule": ("public", "invite", "knock", "restricted", "knock_restricted", "private"),
    "history_visibility": ("world_readable", "shared", "invited", "joined"),
    "guest_access": ("can_join", "forbidden"),
    "set_presence": ("online", "offline", "unavailable"),
    "full_state": ("true", "false"),
    "not_membership": ("join", "leave"),
    "format": ("event", "content"),
    "txn_id": ("1", "2"),
    "auth": (
        {"type": "m.login.dummy"},
        {
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": Known("alice")},
            "password": "secret password",
        },
        {"type": "m.login.dummy", "session": Known("session")},
    ),
    "identifier": ({"type": "m.id.user", "user": "alice"},),
    "users": (
        {Known("alice"): 100, Known("bob"): 2**53 - 1},
        {Known("alice"): 100, "@x:test": -(2**53)},
        {Known("alice"): 100},
        {Known("alice"): 100, Known("bob"): 50},
    ),
    "alias": (Known("alias"),),
    "alt_aliases": ([Known("alias")], ["#x:test"]),
    "allow": (
        [{"type": "m.room_membership", "room_id": Known("public_room")}],
        [{"type": "m.room_membership", "room_id": "\0"}],
        ["*"],
    ),
    "deny": (["*"], ["test"]),
    "m.relates_to": (
        {"rel_type": "m.annotation", "event_id": Known("message"), "key": "+"},
        {"rel_type": "m.annotation", "event_id": Known("message", "\0"), "key": "\0"},
        {"rel_type": "m.annotation", "event_id": _LONG, "key": _LONG},
        {"rel_type": "m.replace", "event_id": Known("message")},
        {"rel_type": "m.thread", "event_id": Known("message"), "m.in_reply_to": {}},
        {"rel_type": "\0", "event_id": "\ud800"},
        {"rel_type": 1, "event_id": [], "key": {}},
    ),
    "third_party_invite": (
        {"display_name": "x", "signed": {"mxid": Known("bob"), "token": "", "signatures": {}}},
        {"signed": {"mxid": Known("bob"), "token": "\0", "signatures": {"x": 1}}},
    ),
    "m.topic": ({"m.text": [{"body": "plain"}, 1]}, {"m.text": {}}),
    "additional_creators": ([Known("bob")], ["@a\0:test"]),
    "predecessor": ({"room_id": Known("old_room"), "event_id": "\0"},),
    "pinned": ([Known("message")], ["\0"]),
    "events": ({"m.room.name": 50, "": 2**53 - 1, "\0": -(2**53) + 1},),
    "notifications": ({"room": 50},),
    "msgtype": ("m.text",),
    "search_term": ("r", "İ"),
    "admin": (True, False),
}
"""What is worth a try for a path parameter, query parameter or key of this name."""

_MORE_QUERY = ("access_token", "user_id", "ts", "via", "server_name", "filter", "at", "limit")
"""Query parameters that are sent also where the specification has none of that name."""


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def _one_in(draw: Draw, count: int) -> bool:
    return bool(draw(st.integers(1, count)) == count)


def _named(draw: Draw, name: str, otherwise: st.SearchStrategy[Any]) -> Any:
    """A value for something of this name: plausible as a rule."""
    choices = _BY_NAME.get(_snake(name))
    if choices is None or _one_in(draw, 5):
        return draw(otherwise)
    return draw(st.sampled_from(choices))


def _value(draw: Draw, schema: Mapping[str, Any], name: str = "", depth: int = 0) -> Any:
    """A value of a schema, with faults here and there."""
    schema = dereferenced(schema)
    if depth > DEPTH or _one_in(draw, 12):
        return draw(JUNK)
    for several in ("oneOf", "anyOf"):
        if several in schema:
            return _value(draw, draw(st.sampled_from(schema[several])), name, depth)
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = draw(st.sampled_from(kind))
    if kind == "object" or "properties" in schema or "allOf" in schema:
        if name in _BY_NAME and _one_in(draw, 2):
            return draw(st.sampled_from(_BY_NAME[name]))
        return _object(draw, schema, depth)
    if kind == "array":
        count = draw(st.integers(0, 2))
        return [_value(draw, schema.get("items", {}), name, depth + 1) for _ in range(count)]
    if "enum" in schema and not _one_in(draw, 6):
        return draw(st.sampled_from(schema["enum"]))
    return _named(draw, name, _SCALARS.get(str(kind), JUNK))


_SCALARS: Mapping[str, st.SearchStrategy[Any]] = {
    "string": _TEXT,
    "integer": st.sampled_from(NUMBERS),
    "number": st.sampled_from(NUMBERS),
    "boolean": st.booleans(),
}


def _object(draw: Draw, schema: Mapping[str, Any], depth: int) -> dict[Any, Any]:
    value: dict[Any, Any] = {}
    for part in schema.get("allOf", ()):
        drawn = _value(draw, part, "", depth)
        value.update(drawn if isinstance(drawn, dict) else {})
    required = schema.get("required", ())
    for key, of_key in schema.get("properties", {}).items():
        if not _one_in(draw, 8 if key in required else 2):
            value[key] = _value(draw, of_key, key, depth + 1)
    if not schema.get("properties") or _one_in(draw, 6):
        for _ in range(draw(st.integers(0, 3))):
            key = draw(_KEY)
            value[key] = _named(draw, key if isinstance(key, str) else "", JUNK)
    return value


@st.composite
def requests_to(draw: Draw, endpoint: Endpoint, method: str) -> DrawnRequest:
    """Requests to an endpoint."""
    template = draw(st.sampled_from(endpoint.paths))
    described = described_operation(method, endpoint.paths[0])
    path = {name: _parameter(draw, name) for name in endpoint.parameters}
    if "event_type" in path and not _one_in(draw, 3):
        types = _MESSAGES if "/send/" in template else tuple(_CONTENTS)
        path["event_type"] = draw(st.sampled_from(types))
    return DrawnRequest(
        method=method,
        template=template,
        path=path,
        query=_query(draw, described),
        body=_body(draw, method, described, path),
        headers=draw(_HEADERS),
        caller=draw(st.sampled_from(("alice",) * 12 + ("bob", "bob", "nobody", "junk"))),
    )


_UNDECODED = st.sampled_from(
    tuple(
        map(
            Undecoded,
            (
                "%00",
                "%2F",
                "..",
                "%",
                "%zz",
                "%ff",
                "%C3%28",
                "a%00b",
                "%ED%A0%80",
                "a\0b",
                "é",
                " ",
            ),
        )
    )
)


def _parameter(draw: Draw, name: str) -> Any:
    if _one_in(draw, 12):
        return draw(_UNDECODED)
    return _named(draw, name, _TEXT)


def _query(draw: Draw, described: Mapping[str, Any]) -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for parameter in described.get("parameters", ()):
        parameter = dereferenced(parameter)
        if parameter["in"] != "query" or _one_in(draw, 3):
            continue
        schema = parameter.get("schema", {})
        if _one_in(draw, 12):
            pairs.append((parameter["name"], draw(_UNDECODED)))
            continue
        value = _named(draw, parameter["name"], _TEXT)
        if "enum" in schema and _one_in(draw, 2):
            value = draw(st.sampled_from(schema["enum"]))
        pairs.append((parameter["name"], value))
    if _one_in(draw, 4):
        name = draw(st.sampled_from(_MORE_QUERY))
        pairs.append((name, _named(draw, name, _TEXT)))
    return pairs


def _body(draw: Draw, method: str, described: Mapping[str, Any], path: Mapping[str, Any]) -> Any:
    if method in ("GET", "DELETE") and not _one_in(draw, 4 if method == "DELETE" else 20):
        return None
    if _one_in(draw, 15):
        return draw(_BYTES)
    if _one_in(draw, 15):
        return draw(JUNK)
    content = described.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {"type": "object"})
    event_type = path.get("event_type")
    if isinstance(event_type, str) and event_type in _CONTENTS and not _one_in(draw, 6):
        return {
            key: _named(draw, key, JUNK) for key in _CONTENTS[event_type] if not _one_in(draw, 4)
        }
    body = _value(draw, schema)
    if "key_name" in path and isinstance(body, dict) and not _one_in(draw, 5):
        for key in ("displayname", "avatar_url", "m.tz", "org.example.key"):
            body[key] = _named(draw, key, JUNK)
    return body


_HEADERS = st.one_of(
    *(st.just({}) for _ in range(6)),
    st.fixed_dictionaries(
        {"User-Agent": st.sampled_from(("", "\x01", "é", "\U0001f600", "u" * 3000, "a\tb"))}
    ),
    st.fixed_dictionaries(
        {"X-Forwarded-For": st.sampled_from(("1.2.3.4", "junk", "::1, x", "é", "," * 50))}
    ),
    st.fixed_dictionaries(
        {"Authorization": st.sampled_from(("Bearer", "Bearer  ", "Basic eA==", "Bearer é \x01"))}
    ),
    st.fixed_dictionaries({"Content-Type": st.sampled_from(("text/plain", "application/x", "é"))}),
)


@functools.cache
def strategy_for(endpoint: Endpoint, method: str) -> st.SearchStrategy[DrawnRequest]:
    """`requests_to`, made once."""
    return requests_to(endpoint, method)
