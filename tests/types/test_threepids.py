"""Email addresses and phone numbers in their canonical form."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from synapse_lite.types.threepids import (
    InvalidThreepidError,
    Threepid,
    canonical_email,
    canonical_phone,
    canonical_threepid,
)


class ThreepidTests(TestCase):
    def test_email_addresses_are_case_folded(self) -> None:
        self.assertEqual(canonical_email("Strauß@Example.com").address, "strauss@example.com")
        self.assertEqual(canonical_threepid("email", " A@b ").address, "a@b")

    def test_what_is_no_email_address(self) -> None:
        long = "x" * 255 + "@b"
        for text in ("", "a", "@b", "a@", "a@b@c", "a b@c", "A <a@b>", "a@b\tc", long):
            with self.assertRaises(InvalidThreepidError):
                canonical_email(text)

    def test_phone_numbers_as_people_write_them(self) -> None:
        expected = Threepid("msisdn", "447700900001")
        for text in ("+44 7700 900001", "0044-7700-900001", "+44 (7700) 900.001"):
            self.assertEqual(canonical_phone(text), expected)
        self.assertEqual(canonical_threepid("msisdn", "447700900001"), expected)
        self.assertEqual(canonical_threepid("msisdn", "+447700900001"), expected)

    def test_national_numbers_are_numbers_of_nobody(self) -> None:
        self.assertIsNone(canonical_phone("07700 900001"))

    def test_what_is_no_phone_number(self) -> None:
        for text in ("", "x", "+", "+44x", "12", "+123", "9" * 70, "+0123456789"):
            with self.assertRaises(InvalidThreepidError):
                canonical_phone(text)
        for text in ("", "0770", "44 7700 900001"):
            with self.assertRaises(InvalidThreepidError):
                canonical_threepid("msisdn", text)

    def test_other_mediums(self) -> None:
        with self.assertRaises(InvalidThreepidError):
            canonical_threepid("pigeon", "a@b")
