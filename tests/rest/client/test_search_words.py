"""What a search finds: words and parts of words in any script, as messages are now."""

from __future__ import annotations

from tests.harness.homeserver import now
from tests.rest.client.search import SearchCase


class WordTests(SearchCase):
    def assert_finds(self, text: str, *terms: str) -> None:
        room_id = self.room()
        event_id = self.say(room_id, text)
        self.index()
        for term in terms:
            self.assertIn(event_id, self.found(term), term)
        self.assertNotIn(event_id, self.found("absent"))

    def test_words_and_parts_of_words_in_any_case(self) -> None:
        self.assert_finds(
            "The Quick-Brown fox_jumps", "quick", "BROWN", "row", "ick bro", "fox jum", "x", "ju"
        )

    def test_chinese(self) -> None:
        self.assert_finds("我们明天去北京大学开会", "北京", "北京大学", "我", "会", "明天 大学")

    def test_japanese(self) -> None:
        self.assert_finds("こんにちは、東京タワーへ", "東京", "タワ", "こん", "ﾀﾜｰ", "へ")

    def test_korean(self) -> None:
        self.assert_finds("안녕하세요 세계", "안녕", "하세", "세계", "요", "안녕하세요")

    def test_accents_width_and_ligatures(self) -> None:
        self.assert_finds("Crème Brûlée, ﬁne ＦＵＬＬ", "creme", "BRÛLEE", "fine", "full", "ｃｒｅ")

    def test_emoji_and_other_scripts(self) -> None:
        self.assert_finds("ship it 🎉👍🏽 привет हिन्दी שָׁלוֹם", "🎉", "👍", "ПРИВЕТ", "हिन्दी", "שלום")

    def test_words_all_of_them(self) -> None:
        room_id = self.room()
        both = self.say(room_id, "salt and pepper")
        self.say(room_id, "only salt")
        self.index()
        self.assertEqual(self.found("pepper salt"), [both])

    def test_parts_are_really_there(self) -> None:
        # Every gram of "abcabd" is in the text, the part is not.
        room_id = self.room()
        self.say(room_id, "abcab cabd bcabd")
        self.index()
        self.assertEqual(self.found("abcabd"), [])

    def test_operators_are_words(self) -> None:
        room_id = self.room()
        event_id = self.say(room_id, 'cats AND dogs NOT birds NEAR trees\' "end"')
        self.index()
        for term, is_there in (
            ('cats AND "dogs', True),
            ("NOT birds", True),
            ("NOT hamsters", False),
            ("NEAR(trees, cats)", True),
            ("cats OR hamsters", False),
            ("cats* bir*:* | 'end' & ^dogs", True),
            ("ca%z", False),
            ("-cats {grams} : dogs", False),
            ("end\\", True),
            ("%cats_", True),
        ):
            self.assertEqual(self.found(term), [event_id] if is_there else [], term)

    def test_terms_without_words_find_nothing(self) -> None:
        room_id = self.room()
        self.say(room_id, "hello?")
        self.index()
        for term in ("", "?", "  ", "\u200d", '"*"', "\u0301"):
            self.assertEqual(self.search(term)["results"], [], term)

    def test_long_terms(self) -> None:
        room_id = self.room()
        event_id = self.say(room_id, "x" * 5000 + "y" * 500)
        self.index()
        self.assertEqual(self.found("x" * 900 + "y" * 100), [event_id])
        self.assertEqual(self.found("y" * 600), [])

    def test_a_message_of_many_characters(self) -> None:
        text = "".join(chr(0x4E00 + i) for i in range(15_000))
        room_id = self.room()
        event_id = self.say(room_id, text)
        self.index()
        self.assertEqual(self.found(text[14_990:]), [event_id])

    def test_null_characters_in_messages_separate_words(self) -> None:
        room_id = self.room()
        event_id = self.say(room_id, "one\0two three")
        self.index()
        self.assertEqual(self.found("two three"), [event_id])


class FreshnessTests(SearchCase):
    def test_names_and_topics(self) -> None:
        room_id = self.room(name="Gardeners", topic="All about tulips")
        self.index()
        name = self.state_event(room_id, "m.room.name")
        topic = self.state_event(room_id, "m.room.topic")
        assert name is not None and topic is not None
        self.assertEqual(self.found("gardener"), [name.event_id])
        self.assertEqual(self.found("tulip", keys=["content.topic"]), [topic.event_id])
        self.assertEqual(self.found("tulip", keys=["content.body", "content.name"]), [])
        self.assertEqual(self.found("tulip", keys=[]), [])

    def test_edits_replace_what_they_edit(self) -> None:
        room_id = self.room()
        event_id = self.say(room_id, "apples")
        self.index()
        first = self.edit(room_id, event_id, "pears")
        self.index()
        self.assertEqual((self.found("apples"), self.found("pears")), ([], [event_id]))
        second = self.edit(room_id, event_id, "plums")
        self.index()
        self.assertEqual((self.found("pears"), self.found("plums")), ([], [event_id]))
        self.redact(room_id, second)
        self.index()
        self.assertEqual((self.found("pears"), self.found("plums")), ([event_id], []))
        self.redact(room_id, first)
        self.index()
        self.assertEqual((self.found("apples"), self.found("pears")), ([event_id], []))

    def test_edits_that_do_not_count(self) -> None:
        room_id = self.room()
        self.join(room_id, self.bob)
        event_id = self.say(room_id, "apples")
        self.edit(room_id, event_id, "pears", self.bob)
        edit = self.edit(room_id, event_id, "plums")
        self.edit(room_id, edit, "figs")
        self.index()
        self.assertEqual(self.found("plums"), [event_id])
        for term in ("pears", "figs", "apples"):
            self.assertEqual(self.found(term), [], term)

    def test_redacted_messages_leave_the_index(self) -> None:
        room_id = self.room()
        event_id = self.say(room_id, "secret plans")
        self.index()
        self.redact(room_id, event_id)
        self.assertEqual(self.found("secret"), [])  # at once, before the index has heard of it
        self.index()
        self.assertEqual(self.found("secret"), [])
        self.assertEqual(self.indexed_texts(), [])

    def test_what_is_encrypted_is_not_indexed(self) -> None:
        room_id = self.room()
        content = {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "gibberish", "body": "no"}
        self.ok("PUT", f"rooms/{room_id}/send/m.room.encrypted/1", content)
        self.index()
        self.assertEqual(self.indexed_texts(), [])

    def indexed_texts(self) -> list[str]:
        rows = now(
            self.master.db.read("texts", lambda txn: txn.select("search_messages", ("text",)))
        )
        return [row[0] for row in rows]


class PostgresWordTests(WordTests):
    postgres = True


class PostgresFreshnessTests(FreshnessTests):
    postgres = True
