"""Signing JSON, with signedjson as the judge."""

from __future__ import annotations

import json
from pathlib import Path

import signedjson.key
import signedjson.sign
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from synapse_lite.crypto.base64 import decode_base64
from synapse_lite.crypto.signing import (
    SignatureError,
    SigningKey,
    generate_signing_key,
    sign_json,
    signing_key_ids,
    verify_signed_json,
)

VECTORS = json.loads(
    (Path(__file__).parent.parent / "data" / "signing_vectors.json").read_text("utf-8")
)
KEY = SigningKey("1", decode_base64(VECTORS["signing_key"]["seed_base64"]))

_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_objects = st.dictionaries(
    _text.filter(lambda key: key not in ("signatures", "unsigned")),
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | _text,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=5,
)


class SigningTests(SynchronousTestCase):
    def test_vectors(self) -> None:
        self.assertEqual(
            KEY.verify_key.encode(), VECTORS["signing_key"]["derived"]["public_key_base64"]
        )
        for vector in VECTORS["json_signing"]:
            self.assertEqual(sign_json(vector["input"], "domain", KEY), vector["signed"])
            verify_signed_json(vector["signed"], "domain", KEY.verify_key)

    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(_objects)
    def test_signedjson_agrees(self, obj) -> None:
        theirs_key = signedjson.key.decode_signing_key_base64("ed25519", "1", KEY.seed_base64())
        ours = sign_json(obj, "domain", KEY)
        self.assertEqual(ours, signedjson.sign.sign_json(dict(obj), "domain", theirs_key))
        verify_signed_json(ours, "domain", KEY.verify_key)

    def test_unsigned_and_other_signatures_stay(self) -> None:
        other = generate_signing_key("2")
        original = {"a": 1, "unsigned": {"age": 1}}
        first = sign_json(original, "one", KEY)
        both = sign_json(first, "two", other)
        both["unsigned"] = {"age": 2}
        verify_signed_json(both, "one", KEY.verify_key)
        verify_signed_json(both, "two", other.verify_key)
        self.assertEqual(signing_key_ids(both, "two"), ["ed25519:2"])
        self.assertEqual(original, {"a": 1, "unsigned": {"age": 1}})
        self.assertEqual(list(first["signatures"]), ["one"])

    def test_wrong_or_missing_signatures(self) -> None:
        good = sign_json({"a": 1}, "one", KEY)
        for bad in (
            {**good, "a": 2},
            {"a": 1},
            {"a": 1, "signatures": []},
            {"a": 1, "signatures": {"one": "x"}},
            {"a": 1, "signatures": {"one": {"ed25519:1": 5}}},
            {"a": 1, "signatures": {"one": {"ed25519:1": "?"}}},
        ):
            self.assertRaises(SignatureError, verify_signed_json, bad, "one", KEY.verify_key)
        self.assertRaises(SignatureError, verify_signed_json, good, "two", KEY.verify_key)
        self.assertEqual(signing_key_ids({"signatures": 5}, "one"), [])
