"""Unpadded base64."""

from __future__ import annotations

import json
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from synapse_lite.crypto.base64 import Base64Error, decode_base64, encode_base64

VECTORS = json.loads(
    (Path(__file__).parent.parent / "data" / "signing_vectors.json").read_text("utf-8")
)


class Base64Tests(SynchronousTestCase):
    def test_vectors(self) -> None:
        for vector in VECTORS["unpadded_base64"]:
            data = vector["input_utf8"].encode()
            self.assertEqual(encode_base64(data), vector["output"])
            self.assertEqual(decode_base64(vector["output"]), data)

    def test_alphabets(self) -> None:
        data = b"\xfb\xff\xfe"
        self.assertEqual(encode_base64(data), "+//+")
        self.assertEqual(encode_base64(data, urlsafe=True), "-__-")
        self.assertEqual(decode_base64("+//+"), data)
        self.assertEqual(decode_base64("-__-"), data)

    def test_padding_is_accepted(self) -> None:
        self.assertEqual(decode_base64("Zg=="), b"f")

    def test_malformed(self) -> None:
        for text in ("?", "Z", "Zg Zg", "é", "Z=g"):
            self.assertRaises(Base64Error, decode_base64, text)
