"""Text in the form in which it is searched."""

from __future__ import annotations

import re
from unittest import TestCase

from hypothesis import given, settings
from hypothesis import strategies as st

from synapse_lite.util.folding import (
    BEGINNING,
    GRAM,
    MAX_FOLDED,
    fold,
    grams,
    grams_of_part,
    has_part,
)

CASES = {
    "Hello, World!": "hello world",
    "  a\tb\n c\0d ": "a b c d",
    "snake_case don't e-mail": "snake case don t e mail",
    "Crème Brûlée": "creme brulee",
    "Straße ẞ": "strasse ss",
    "ＦＵＬＬ ﬁne ①": "full fine 1",
    "İstanbul ISPARTA ılık": "istanbul isparta ilik",
    "ΟΔΥΣΣΕΎΣ": "οδυσσευσ",
    "Ёлка Йод": "елка иод",
    "北京，大学。": "北京 大学",
    "がパ ｶﾞ": "がパ ガ",
    "안녕하세요 세계": "안녕하세요 세계",
    "हिन्दी": "हिन्दी",
    "שָׁלוֹם מُحَمَّد": "שלום מحمد",
    "👍🏽 ❤️🎉": "👍🏽 ❤🎉",
    "zero\u200dwidth soft\u00adhyphen": "zerowidth softhyphen",
    "\ud800 alone": "alone",
    "?!…": "",
}


class FoldingTests(TestCase):
    def test_cases(self) -> None:
        for text, folded in CASES.items():
            self.assertEqual(fold(text), folded, ascii(text))

    @given(st.text())
    @settings(max_examples=300, deadline=None)
    def test_folding_again_changes_nothing(self, text: str) -> None:
        self.assertEqual(fold(fold(text)), fold(text))

    @given(st.text())
    @settings(max_examples=300, deadline=None)
    def test_case_does_not_matter(self, text: str) -> None:
        self.assertEqual(fold(text.lower()), fold(text.lower().upper().lower()))

    @given(st.text())
    @settings(max_examples=300, deadline=None)
    def test_nothing_is_left_that_a_database_reads(self, text: str) -> None:
        self.assertIsNone(
            re.search(r"[\0-\x1f!-/:-@\[-`{-\x7f\ud800-\udfff\ue000\ue001]", fold(text))
        )

    def test_length_is_bounded(self) -> None:
        self.assertEqual(len(fold("\ufdfa" * MAX_FOLDED)), MAX_FOLDED)


class GramTests(TestCase):
    def test_grams_begin_at_each_character(self) -> None:
        expected = {"abc", "bcd", "cd", "d", "xy", "y", "^a", "^ab", "^x"}
        self.assertEqual({gram.replace(BEGINNING, "^") for gram in grams("abcd xy")}, expected)
        self.assertEqual(grams(""), set())

    def test_characters_that_mean_something_alone(self) -> None:
        self.assertLessEqual({"北", "北京", "京", "京大", "a北"}, grams("a北京大学"))
        self.assertLessEqual({"🎉"}, grams("party🎉now"))

    @given(st.text(alphabet="ab cд北京", min_size=1, max_size=20), st.data())
    @settings(max_examples=500, deadline=None)
    def test_parts_of_words_are_found_by_grams(self, text: str, data: st.DataObject) -> None:
        folded = fold(text)
        for word in folded.split():
            start = data.draw(st.integers(0, len(word) - 1))
            part = word[start : data.draw(st.integers(start + 1, len(word)))]
            held = grams(folded)
            found = all(held.intersection(choice) for choice in grams_of_part(part))
            if has_part(folded, part):
                self.assertTrue(found, (folded, part))
            else:
                self.assertLess(len(part), GRAM)

    def test_short_parts_of_letters_begin_or_end_a_word(self) -> None:
        for part, is_there in (("ab", True), ("d", True), ("b", False), ("bc", False)):
            self.assertEqual(has_part("abcd", part), is_there, part)
        for part in ("中", "中文", "文", "abc", "bcd"):
            self.assertTrue(has_part("xabcd中文y", part), part)
