"""Globs of push rules: `*` is any characters, `?` is one, case does not matter.

Matching takes time in proportion to the text: parts between the `*` are sought one after the
other, each at its first place, which is enough for globs. (Appendices, "Glob-style matching";
client-server API, "Conditions".)
"""

from __future__ import annotations

import re

MAX_PATTERN = 1024
"""Longer patterns match nothing."""

MAX_TEXT = 64 * 1024
"""Text beyond this is not looked at: as much as an event may hold."""

_WORD = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")


class Effort:
    """How much matching one event may cost, whatever patterns a user has made.

    Counted in compared characters. When it is used up, what is left matches nothing.
    """

    __slots__ = ("left",)

    def __init__(self, left: int = 4_000_000) -> None:
        self.left = left

    def spend(self, characters: int) -> bool:
        """Whether there is enough left."""
        self.left -= characters
        return self.left >= 0


class _Part:
    """What stands between two `*`: text in which `?` is any character."""

    __slots__ = ("_regex", "_text", "length")

    def __init__(self, text: str, *, is_plain: bool = False) -> None:
        self.length = len(text)
        self._text = text
        self._regex: re.Pattern[str] | None = None
        if "?" in text and not is_plain:
            pattern = ".".join(re.escape(piece) for piece in text.split("?"))
            self._regex = re.compile(pattern, re.DOTALL)

    def find(self, text: str, start: int, effort: Effort) -> int:
        """The first place at or after `start`; -1 if there is none."""
        if self._regex is None:
            found = text.find(self._text, start)
            end = len(text) if found < 0 else found + self.length
            return found if effort.spend(end - start) else -1
        match = self._regex.search(text, start)
        end = len(text) if match is None else match.end()
        if not effort.spend((end - start) * self.length) or match is None:
            return -1
        return match.start()

    def is_at(self, text: str, place: int) -> bool:
        """Whether it stands at a place."""
        if place < 0:
            return False
        if self._regex is None:
            return text.startswith(self._text, place)
        return self._regex.match(text, place) is not None


class Glob:
    """A compiled pattern."""

    __slots__ = ("_parts", "pattern")

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern.lower()
        # Several `*` in a row are one; nothing is found twice between them.
        self._parts = tuple(_Part(part) for part in re.sub(r"\*+", "*", self.pattern).split("*"))

    def matches(self, text: str, effort: Effort) -> bool:
        """Whether it matches all of a text, which is in lower case."""
        if len(self.pattern) > MAX_PATTERN or len(text) > MAX_TEXT:
            return False
        first, *middle = self._parts
        if not first.is_at(text, 0):
            return False
        if not middle:
            return len(text) == first.length
        last = middle.pop()
        place = self._after(middle, text, first.length, effort)
        end = len(text) - last.length
        return 0 <= place <= end and last.is_at(text, end)

    def matches_words(self, text: str, effort: Effort) -> bool:
        """Whether it matches a piece of a text, in lower case, from word boundary to boundary."""
        if len(self.pattern) > MAX_PATTERN:
            return False
        text = text[:MAX_TEXT]
        first, *middle = self._parts
        if not middle:
            return _find_bounded(first, text, 0, effort, at_start=True, at_end=True) >= 0
        last = middle.pop()
        place = _find_bounded(first, text, 0, effort, at_start=True, at_end=False)
        if place < 0:
            return False
        place = self._after(middle, text, place + first.length, effort)
        return (
            place >= 0
            and _find_bounded(last, text, place, effort, at_start=False, at_end=True) >= 0
        )

    @staticmethod
    def _after(parts: list[_Part], text: str, place: int, effort: Effort) -> int:
        """The place after these parts in their order; -1 if they are not there."""
        for part in parts:
            found = part.find(text, place, effort)
            if found < 0:
                return -1
            place = found + part.length
        return place


def contains_words(text: str, words: str, effort: Effort) -> bool:
    """Whether words, taken literally, are in a text between word boundaries; both in lower case."""
    if not words or len(words) > MAX_PATTERN:
        return False
    part = _Part(words, is_plain=True)
    return _find_bounded(part, text[:MAX_TEXT], 0, effort, at_start=True, at_end=True) >= 0


def _find_bounded(
    part: _Part, text: str, start: int, effort: Effort, *, at_start: bool, at_end: bool
) -> int:
    """The first place of a part that begins, or ends, at a boundary; -1 if there is none."""
    if not part.length and at_end and not at_start:
        return len(text)  # `*` at the end reaches as far as there is text
    place = part.find(text, start, effort)
    while place >= 0:
        end = place + part.length
        if (not at_start or _is_boundary(text, place - 1)) and (
            not at_end or _is_boundary(text, end)
        ):
            return place
        if place >= len(text) or not effort.spend(part.length):
            return -1
        place = part.find(text, place + 1, effort)
    return -1


def _is_boundary(text: str, place: int) -> bool:
    """Whether at a place there is the end of the text, or a character that is in no word."""
    return place < 0 or place >= len(text) or text[place] not in _WORD
