"""Random strings."""

from __future__ import annotations

import string

from twisted.trial.unittest import TestCase

from synapse_lite.util.random import random_string, random_string_secure


class RandomStringTestCase(TestCase):
    def test_length_letters_and_difference(self) -> None:
        for make in (random_string, random_string_secure):
            made = {make(24) for _ in range(200)}
            self.assertEqual(len(made), 200)
            for text in made:
                self.assertEqual(len(text), 24)
                self.assertTrue(set(text) <= set(string.ascii_letters))
            self.assertEqual(make(0), "")
