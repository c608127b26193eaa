"""The vocabulary of Matrix: event types, memberships and other words of the specification."""

from __future__ import annotations


class EventTypes:
    """Types of events that the server itself looks at."""

    CREATE = "m.room.create"
    MEMBER = "m.room.member"
    POWER_LEVELS = "m.room.power_levels"
    JOIN_RULES = "m.room.join_rules"
    HISTORY_VISIBILITY = "m.room.history_visibility"
    GUEST_ACCESS = "m.room.guest_access"
    REDACTION = "m.room.redaction"
    THIRD_PARTY_INVITE = "m.room.third_party_invite"
    ALIASES = "m.room.aliases"
    CANONICAL_ALIAS = "m.room.canonical_alias"
    NAME = "m.room.name"
    TOPIC = "m.room.topic"
    AVATAR = "m.room.avatar"
    ENCRYPTION = "m.room.encryption"
    ENCRYPTED = "m.room.encrypted"
    MESSAGE = "m.room.message"
    TOMBSTONE = "m.room.tombstone"
    SERVER_ACL = "m.room.server_acl"
    PINNED_EVENTS = "m.room.pinned_events"
    SPACE_CHILD = "m.space.child"
    SPACE_PARENT = "m.space.parent"


class Membership:
    """Values of `membership` in m.room.member."""

    JOIN = "join"
    INVITE = "invite"
    LEAVE = "leave"
    BAN = "ban"
    KNOCK = "knock"
    ALL = ("join", "invite", "leave", "ban", "knock")


class JoinRules:
    """Values of `join_rule` in m.room.join_rules."""

    PUBLIC = "public"
    INVITE = "invite"
    KNOCK = "knock"
    PRIVATE = "private"
    RESTRICTED = "restricted"
    KNOCK_RESTRICTED = "knock_restricted"


class HistoryVisibility:
    """Values of `history_visibility`."""

    WORLD_READABLE = "world_readable"
    SHARED = "shared"
    INVITED = "invited"
    JOINED = "joined"
    ALL = ("world_readable", "shared", "invited", "joined")


class GuestAccess:
    """Values of `guest_access`."""

    CAN_JOIN = "can_join"
    FORBIDDEN = "forbidden"


class RelationTypes:
    """Kinds of relations that the server looks at."""

    ANNOTATION = "m.annotation"
    REFERENCE = "m.reference"
    REPLACE = "m.replace"
    THREAD = "m.thread"
    BUNDLED = (REFERENCE, REPLACE, THREAD)


class ReceiptTypes:
    """Types of receipts."""

    READ = "m.read"
    READ_PRIVATE = "m.read.private"
    FULLY_READ = "m.fully_read"


class PresenceState:
    """Values of `presence`."""

    ONLINE = "online"
    UNAVAILABLE = "unavailable"
    OFFLINE = "offline"
    ALL = ("online", "offline", "unavailable")


class LoginType:
    """Login types and stages of user-interactive authentication."""

    PASSWORD = "m.login.password"
    DUMMY = "m.login.dummy"
    TOKEN = "m.login.token"
    REGISTRATION_TOKEN = "m.login.registration_token"


class AccountDataTypes:
    """Account data that the server itself looks at."""

    DIRECT = "m.direct"
    PUSH_RULES = "m.push_rules"
    FULLY_READ = "m.fully_read"
    TAG = "m.tag"
    IGNORED_USER_LIST = "m.ignored_user_list"
    INVITE_PERMISSION = "m.invite_permission_config"


MAX_ID_LENGTH = 255
"""Longest user id, room id, alias or event type, in UTF-8 bytes."""

MAX_PDU_SIZE = 65536
"""Largest event in canonical JSON, in bytes (size limits, client-server API)."""
