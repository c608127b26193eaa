"""What is searched for, which part of the results is wanted, and which of two results is better."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import attrs

from ..api.errors import InvalidParamError
from ..crypto.base64 import decode_base64, encode_base64
from ..storage.search import INDEXED_KEYS
from ..storage.timeline import EventTypeFilter
from ..sync.filter import EVERYTHING, EventFilter
from ..util.folding import fold
from ..util.json import decode_json, encode_json

MAX_TERM_BYTES = 1024
MAX_WORDS = 100
DEFAULT_LIMIT = 10
MAX_LIMIT = 100
"""Most results of one answer."""

DEFAULT_CONTEXT = 5
MAX_CONTEXT = 20
"""Most events before a result, or after it, that an answer shows."""

SEARCH_KEYS: Mapping[str, str] = {f"content.{key}": kind for kind, key in INDEXED_KEYS.items()}
"""Type of event by what clients call the part of its content that is searched."""

GROUP_KEYS = ("room_id", "sender")
RECENT = "recent"
RANK = "rank"

_MAX_TOKEN = 2048
_MAX_NUMBER = 2**62


@attrs.frozen
class SearchToken:
    """Where a page of results begins.

    `below` is the position below which messages are searched, `done` how many of the best of them
    were given before, `count` what was told of their number. `where` restricts the page to groups.
    """

    below: int
    done: int = 0
    count: int | None = None
    where: Mapping[str, str] = attrs.field(factory=dict)

    def to_text(self) -> str:
        """The token as clients see it."""
        fields = [self.below, self.done, self.count, dict(self.where)]
        return encode_base64(encode_json(fields), urlsafe=True)

    @staticmethod
    def from_text(text: str) -> SearchToken:
        """Parse a token. Raises InvalidParamError."""
        try:
            if len(text) > _MAX_TOKEN:
                raise ValueError("too long")
            below, done, count, where = decode_json(decode_base64(text))
            if not all(_is_number(number) for number in (below, done, count or 0)):
                raise ValueError("no number")
            if done < 0 or not all(
                key in GROUP_KEYS and isinstance(value, str) for key, value in where.items()
            ):
                raise ValueError("of the wrong form")
        except (ValueError, TypeError, AttributeError) as error:
            raise InvalidParamError("next_batch is no token of a search") from error
        return SearchToken(below, done, count, where)


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _MAX_NUMBER


@attrs.frozen
class ContextRequest:
    """How many events around each result are wanted, and whether with their senders' profiles."""

    before: int = DEFAULT_CONTEXT
    after: int = DEFAULT_CONTEXT
    include_profile: bool = False


@attrs.frozen
class SearchRequest:
    """A search for messages (client-server API, "Server Side Search")."""

    term: str
    types: Collection[str] = tuple(INDEXED_KEYS)
    event_filter: EventFilter = EVERYTHING
    order_by: str = RANK
    limit: int = DEFAULT_LIMIT
    context: ContextRequest | None = None
    include_state: bool = False
    group_by: Collection[str] = ()
    token: SearchToken | None = None
    words: tuple[str, ...] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        words = tuple(dict.fromkeys(fold(self.term).split()))
        if len(words) > MAX_WORDS:
            raise InvalidParamError(f"search_term must not have more than {MAX_WORDS} words")
        object.__setattr__(self, "words", words)

    @property
    def highlights(self) -> list[str]:
        """The words as they are searched, and as they were written."""
        return list(dict.fromkeys([*self.words, *self.term.casefold().split()]))

    def for_storage(self) -> EventTypeFilter:
        """Which events may be results."""
        chosen = self.event_filter.to_storage()
        types = [each for each in self.types if self.event_filter.wants(each)]
        return attrs.evolve(chosen, types=types, not_types=())


def rank(words: Sequence[str], text: str) -> float:
    """How well a folded text that has all of the words answers a search; higher is better.

    Whole words count more than beginnings of words, and these more than what is inside of them;
    often counts more than once, words in the order of the search more than scattered ones, and
    short texts more than long ones.
    """
    bounded = f" {text} "
    score = 0.0
    for word in words:
        if f" {word} " in bounded:
            weight = 1.0
        elif f" {word}" in bounded:
            weight = 0.6
        else:
            weight = 0.3
        score += weight * (1 + math.log(max(1, text.count(word))))
    if len(words) > 1 and " ".join(words) in text:
        score *= 1.5
    return score / (len(words) * (1 + math.log1p(len(text) / 100)))
