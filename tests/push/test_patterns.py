"""Globs of push rules, compared with regular expressions."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from synapse_lite.push.patterns import MAX_PATTERN, Effort, Glob, contains_words

PATTERNS = st.text("ab*? ", max_size=6)
TEXTS = st.text("ab _-", max_size=12)


def as_regex(pattern: str) -> str:
    """The glob as a regular expression, in the obvious way."""
    return "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in pattern)


class GlobTestCase(TestCase):
    @settings(deadline=None)
    @given(PATTERNS, TEXTS)
    def test_whole_values(self, pattern: str, text: str) -> None:
        expected = re.fullmatch(as_regex(pattern), text, re.DOTALL) is not None
        self.assertEqual(Glob(pattern).matches(text, Effort()), expected)

    @settings(deadline=None)
    @given(PATTERNS, TEXTS)
    def test_words(self, pattern: str, text: str) -> None:
        regex = rf"(?<![A-Za-z0-9_]){as_regex(pattern)}(?![A-Za-z0-9_])"
        expected = re.search(regex, text, re.DOTALL) is not None
        self.assertEqual(Glob(pattern).matches_words(text, Effort()), expected)

    def test_examples_of_the_specification(self) -> None:
        lunch, example = Glob("lunc?*"), Glob("ex*ple")
        for text, expected in (("lunch plans", True), ("lunch", True), (" lunch", False)):
            self.assertEqual(lunch.matches(text, Effort()), expected, text)
        self.assertFalse(lunch.matches("lunc", Effort()))
        for text in ("an example event.", "exple", "an exciting triple-whammy"):
            self.assertTrue(example.matches_words(text, Effort()), text)
        self.assertFalse(example.matches_words("an examples", Effort()))

    def test_case_of_the_pattern_does_not_matter(self) -> None:
        self.assertTrue(Glob("CaKe").matches("cake", Effort()))

    def test_words_are_taken_literally(self) -> None:
        self.assertTrue(contains_words("who is b*b?", "b*b", Effort()))
        self.assertFalse(contains_words("who is bob?", "b?b", Effort()))
        self.assertFalse(contains_words("anything", "", Effort()))

    def test_hopeless_patterns_end_soon(self) -> None:
        text = "a" * 65_000
        effort = Effort(1_000_000)
        for pattern in ("a?" * 500 + "b", "*a" * 500 + "b", "a" * 500 + "b", "a*" * 500 + "b"):
            self.assertFalse(Glob(pattern).matches_words(text, effort), pattern)
            self.assertFalse(Glob(pattern).matches(text, effort), pattern)
        self.assertFalse(Glob("a" * (MAX_PATTERN + 1)).matches("a" * (MAX_PATTERN + 1), Effort()))
