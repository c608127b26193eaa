"""Text in the form in which it is searched: without case, accents, width and punctuation.

Nothing here knows a language. A text becomes words joined by single spaces; whoever searches finds
any part of a word. Chinese and Japanese texts, which have no spaces, are long words, so each of
their characters and compounds is found too. Only of letters one or two would be found nearly
everywhere: so short a part must be the beginning or the end of a word.

To find parts of words quickly, an index holds grams, each of which is looked up as it is:

* from each character of a word the piece of `GRAM` characters that begins there, shorter at the
  word's end: a longer part has grams that must all be there, and an end is a gram;
* the first letter of a word and the first two, marked as beginnings;
* characters that mean something alone (`is_dense`), and each with its neighbour.
"""

from __future__ import annotations

import unicodedata
from itertools import pairwise

GRAM = 3
"""Characters of a gram."""

BEGINNING = "\ue001"
"""Marks the beginning of a word. No folded text has this character."""

_FIRST_DENSE = "\u2000"
"""Below are the alphabets; above symbols, kana, Chinese characters, Korean syllables, emoji."""

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


def is_dense(text: str) -> bool:
    """Whether some character of a text is more than a letter of an alphabet."""
    return not text.isascii() and any(character >= _FIRST_DENSE for character in text)


def grams(folded: str) -> set[str]:
    """The grams of a folded text."""
    found: set[str] = set()
    for word in folded.split(" "):
        found.update([word[start : start + GRAM] for start in range(len(word))])
        if len(word) > 1:
            found.add(BEGINNING + word[0])
        if len(word) > 2:
            found.add(BEGINNING + word[:2])
        if is_dense(word):
            found.update(character for character in word if character >= _FIRST_DENSE)
            found.update(filter(is_dense, map("".join, pairwise(word))))
    return found


def grams_of_part(part: str) -> list[tuple[str, ...]]:
    """What must be among the grams of a text that has this part of a word: one of each tuple."""
    if len(part) >= GRAM:
        pieces = (part[start : start + GRAM] for start in range(len(part) - GRAM + 1))
        return [(piece,) for piece in dict.fromkeys(pieces)]
    if is_dense(part):
        return [(part,)]
    return [(part, BEGINNING + part)]


def has_part(folded: str, part: str) -> bool:
    """Whether a folded text has a part of a word, as a search understands it."""
    if len(part) >= GRAM or is_dense(part):
        return part in folded
    return f" {part}" in f" {folded}" or f"{part} " in f"{folded} "
