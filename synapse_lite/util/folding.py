"""Text in the form in which it is searched: without case, accents, width and punctuation.

Nothing here knows a language. A text becomes words joined by single spaces; whoever searches finds
any part of a word. Chinese and Japanese texts, which have no spaces, are long words, so each of
their characters and compounds is found too.

To find parts of words quickly, an index holds grams: from each character of a word the piece of
`GRAM` characters that begins there, shorter at the word's end. A part of at least that length has
grams that must all be there; a shorter one is the beginning of a gram.
"""

from __future__ import annotations

import unicodedata

GRAM = 3
"""Characters of a gram."""

MAX_FOLDED = 65_536
"""Characters of a text that are kept; an event cannot have many more."""

_KEPT = "LNM"
_IGNORED_BLOCKS = (
    (0x0300, 0x036F),  # combining diacritical marks, and their extensions
    (0x1AB0, 0x1AFF),
    (0x1DC0, 0x1DFF),
    (0x20D0, 0x20FF),
    (0xFE20, 0xFE2F),
    (0x0591, 0x05C7),  # Hebrew points, which people seldom write
    (0x0610, 0x061A),  # Arabic vowel signs, likewise, and the stroke that lengthens a word
    (0x0640, 0x0640),
    (0x064B, 0x065F),
    (0x0670, 0x0670),
    (0xFE00, 0xFE0F),  # variation selectors: which picture of an emoji is meant
    (0xE0100, 0xE01EF),
)
_DOTLESS_I = 0x131  # its capital is that of i
_MAX_TABLE = 20_000


class _Table(dict[int, str]):
    """What becomes of each character, for `str.translate`; filled as characters are met."""

    def __missing__(self, code: int) -> str:
        found = _folded_character(code)
        if len(self) < _MAX_TABLE:
            self[code] = found
        return found


def _folded_character(code: int) -> str:
    if code == _DOTLESS_I:
        return "i"
    character = chr(code)
    category = unicodedata.category(character)
    if category == "Cf" or any(first <= code <= last for first, last in _IGNORED_BLOCKS):
        return ""
    if category[0] in _KEPT or (category[0] == "S" and code > 0x7F):
        return character
    return " "


_TABLE = _Table()


def fold(text: str) -> str:
    """The searched form of a text: words joined by spaces; empty if it has none.

    Folding it again changes nothing.
    """
    if text.isascii():
        folded = text[:MAX_FOLDED].lower().translate(_TABLE)
    else:
        apart = unicodedata.normalize("NFKD", text[:MAX_FOLDED]).casefold()
        apart = unicodedata.normalize("NFKD", apart)
        folded = unicodedata.normalize("NFKC", apart.translate(_TABLE))
    return " ".join(folded.split())[:MAX_FOLDED].rstrip()


def grams(folded: str) -> set[str]:
    """The grams of a folded text."""
    found: set[str] = set()
    for word in folded.split(" "):
        if len(word) <= GRAM:
            found.update(word[start:] for start in range(len(word)))
        else:
            found.update([word[start : start + GRAM] for start in range(len(word))])
    return found


def grams_of_part(part: str) -> tuple[list[str], str | None]:
    """Grams that a text with this part of a word must have, and the beginning of one.

    Of the two only one is there: short parts have no whole gram.
    """
    if len(part) < GRAM:
        return [], part
    return list(dict.fromkeys(part[i : i + GRAM] for i in range(len(part) - GRAM + 1))), None
