"""Tests of the checks of JSON bodies."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from synapse_lite.api.errors import BadJsonError, InvalidParamError, MissingParamError
from synapse_lite.http import parameters


class RequireTests(TestCase):
    def test_missing_key(self) -> None:
        for require in (
            parameters.require,
            parameters.require_str,
            parameters.require_int,
            parameters.require_bool,
            parameters.require_dict,
            parameters.require_list,
            parameters.require_str_list,
        ):
            self.assertRaises(MissingParamError, require, {}, "key")

    def test_wrong_type(self) -> None:
        wrong = {
            parameters.require_str: [1, None, [], {}, True],
            parameters.require_int: ["1", 1.0, True, None],
            parameters.require_bool: [0, 1, "true", None],
            parameters.require_dict: [[], "", None],
            parameters.require_list: [{}, "", None],
            parameters.require_str_list: [{}, "abc", [1], ["a", None]],
        }
        for require, values in wrong.items():
            for value in values:
                self.assertRaises(BadJsonError, require, {"key": value}, "key")

    def test_right_type(self) -> None:
        self.assertEqual(parameters.require_str({"key": "v"}, "key"), "v")
        self.assertEqual(parameters.require_int({"key": 7}, "key"), 7)
        self.assertIs(parameters.require_bool({"key": False}, "key"), False)
        self.assertEqual(parameters.require_str_list({"key": ["a"]}, "key"), ["a"])

    def test_limits(self) -> None:
        bad = [
            lambda: parameters.require_str({"key": "ab"}, "key", max_bytes=1),
            lambda: parameters.require_str({"key": "é"}, "key", max_bytes=1),
            lambda: parameters.require_str({"key": "a\0b"}, "key"),
            lambda: parameters.require_str({"key": ""}, "key", allow_empty=False),
            lambda: parameters.require_int({"key": -1}, "key"),
            lambda: parameters.require_int({"key": 2**53}, "key"),
            lambda: parameters.require_list({"key": [1, 2]}, "key", max_items=1),
            lambda: parameters.require_enum({"key": "c"}, "key", ("a", "b")),
        ]
        for check in bad:
            self.assertRaises(InvalidParamError, check)


class OptionalTests(TestCase):
    def test_absent_and_null_give_the_default(self) -> None:
        for body in ({}, {"key": None}):
            self.assertIsNone(parameters.optional_str(body, "key"))
            self.assertEqual(parameters.optional_int(body, "key", 5), 5)
            self.assertIs(parameters.optional_bool(body, "key", True), True)
            self.assertEqual(parameters.optional_dict(body, "key", {}), {})
            self.assertEqual(parameters.optional_str_list(body, "key", []), [])

    def test_present_values_are_checked(self) -> None:
        self.assertRaises(BadJsonError, parameters.optional_str, {"key": 1}, "key")
        self.assertRaises(BadJsonError, parameters.optional_dict, {"key": []}, "key")
        self.assertRaises(InvalidParamError, parameters.optional_enum, {"key": "c"}, "key", ("a",))
        self.assertEqual(parameters.optional_int({"key": 0}, "key", 5), 0)
