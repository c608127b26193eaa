"""Text in the form in which it is searched."""

from __future__ import annotations

import re
from unittest import TestCase

from hypothesis import given, settings
from hypothesis import strategies as st

from synapse_lite.util.folding import GRAM, MAX_FOLDED, fold, grams, grams_of_part

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
        self.assertIsNone(re.search(r"[\0-\x1f!-/:-@\[-`{-\x7f\ud800-\udfff\ue000]", fold(text)))

    def test_length_is_bounded(self) -> None:
        self.assertEqual(len(fold("\ufdfa" * MAX_FOLDED)), MAX_FOLDED)


class GramTests(TestCase):
    def test_grams_begin_at_each_character(self) -> None:
        self.assertEqual(grams("abcd xy"), {"abc", "bcd", "cd", "d", "xy", "y"})
        self.assertEqual(grams(""), set())

    @given(st.text(alphabet="ab c", min_size=1, max_size=20), st.data())
    @settings(max_examples=300, deadline=None)
    def test_parts_of_words_are_found_by_grams(self, text: str, data: st.DataObject) -> None:
        for word in fold(text).split():
            start = data.draw(st.integers(0, len(word) - 1))
            part = word[start : data.draw(st.integers(start + 1, len(word)))]
            whole, beginning = grams_of_part(part)
            held = grams(fold(text))
            self.assertLessEqual(set(whole), held)
            if beginning is not None:
                self.assertLess(len(part), GRAM)
                self.assertTrue(any(gram.startswith(beginning) for gram in held))
