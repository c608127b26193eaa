"""What users keep on the server for themselves: account data, tags, push rules."""

from __future__ import annotations

from typing import Any

from ._base import Counter, Query, Stream, row, wakes_user

ACCOUNT_DATA_COUNTER = Counter(
    "account_data",
    "account_data",
    also=(("room_account_data", "stream_id"), ("room_tag_revisions", "stream_id")),
)


@row
class AccountDataRow:
    """Account data of one type; `room_id` is null for global account data."""

    user_id: str
    room_id: str | None
    data_type: str
    data: dict[str, Any]


@row
class TagRow:
    """All tags of a user in a room after the change."""

    user_id: str
    room_id: str
    data: dict[str, Any]


ACCOUNT_DATA = Stream(
    name="account_data",
    says="A user has changed global or room account data.",
    row=AccountDataRow,
    counter=ACCOUNT_DATA_COUNTER,
    rows=Query("get_account_data_rows"),
    stale={
        "get_account_data_for_user": ("user_id",),
        "get_global_account_data_by_type": ("user_id", "data_type"),
    },
    changed={"account_data_changed": "user_id"},
    wakes=wakes_user("user_id"),
)

TAG_ACCOUNT_DATA = Stream(
    name="tag_account_data",
    says="A user has changed the tags of a room.",
    row=TagRow,
    counter=ACCOUNT_DATA_COUNTER,
    rows=Query("get_tag_rows"),
    stale={"get_tags_for_user": ("user_id",)},
    changed={"account_data_changed": "user_id"},
    wakes=wakes_user("user_id"),
)


@row
class PushRuleRow:
    """The push rules of a user have changed."""

    user_id: str


PUSH_RULES = Stream(
    name="push_rules",
    says="A user has changed push rules.",
    row=PushRuleRow,
    counter=Counter("push_rules", "push_rules_stream"),
    rows=Query("get_push_rule_rows"),
    stale={"get_push_rules_for_user": ("user_id",)},
    changed={"push_rules_changed": "user_id"},
    wakes=wakes_user("user_id"),
)
