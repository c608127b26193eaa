"""Finds users by name (client-server API, "User Directory")."""

from __future__ import annotations

from collections.abc import Sequence

from ..server import Homeserver
from ..storage.user_directory import FoundUser, UserDirectoryWorkerStore, UserQuery
from ..types.ids import domain_of, localpart_of
from ..types.requester import Requester
from ..util.folding import fold
from ..util.json import JsonDict

DEFAULT_LIMIT = 10
MAX_LIMIT = 50
MAX_TERM_BYTES = 1024
MAX_WORDS = 20

_LOCALPART, _NAME, _DOMAIN = 4.0, 2.0, 1.0
_WHOLE, _BEGINNING, _INSIDE = 3.0, 2.0, 1.0
_SHARED_ROOM = 4.0
_PROFILE = 1.2
_PREFERRED = 4.0


class UserDirectoryHandler:
    """Answers searches for users that the searcher may know of."""

    def __init__(self, hs: Homeserver) -> None:
        self._store = hs.part(UserDirectoryWorkerStore)
        self._config = hs.config.user_directory

    async def search(self, requester: Requester, term: str, limit: int) -> JsonDict:
        """The best `limit` users whose id or name has all words of the term.

        They share a room with the searcher, or are in one that is open to everybody; or are users
        of this server, where the configuration says so.
        """
        words = tuple(dict.fromkeys(fold(term).split()))[:MAX_WORDS]
        if not self._config.enabled:
            return {"results": [], "limited": False}
        query = UserQuery(
            words,
            requester.user_id,
            all_local=self._config.search_all_users,
            with_locked=self._config.show_locked_users,
            with_remote=not self._config.exclude_remote_users,
        )
        found = await self._store.search_users(query, limit + 1)
        prefer_local = self._config.prefer_local_users
        found.sort(key=lambda user: (-rank(words, user, prefer_local), user.user_id))
        return {"results": [_shown(user) for user in found[:limit]], "limited": len(found) > limit}


def rank(words: Sequence[str], user: FoundUser, prefer_local: bool = False) -> float:
    """How likely a user is meant who has all of the words; higher is better."""
    places = [
        (_LOCALPART, fold(localpart_of(user.user_id))),
        (_NAME, fold(user.display_name or "")),
        (_DOMAIN, fold(domain_of(user.user_id))),
    ]
    score = sum(max(weight * _fit(word, text) for weight, text in places) for word in words)
    if user.shares_room:
        score *= _SHARED_ROOM
    if user.display_name is not None:
        score *= _PROFILE
    if user.avatar_url is not None:
        score *= _PROFILE
    return score * _PREFERRED if prefer_local and user.is_local else score


def _fit(word: str, text: str) -> float:
    bounded = f" {text} "
    if f" {word} " in bounded:
        return _WHOLE
    if f" {word}" in bounded:
        return _BEGINNING
    return _INSIDE if word in text else 0.0


def _shown(user: FoundUser) -> JsonDict:
    fields = {
        "user_id": user.user_id,
        "display_name": user.display_name,
        "avatar_url": user.avatar_url,
    }
    return {name: value for name, value in fields.items() if value is not None}
