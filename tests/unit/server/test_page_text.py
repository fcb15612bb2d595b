"""Hostile and huge text on its way to a page."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from afterword.server.pages.text import (
    HEAD_LINES,
    MAX_CHARS,
    as_field,
    as_lines,
    as_markup,
    as_text,
    fold,
    preview,
    visible,
)


def test_control_characters_are_written_out() -> None:
    assert visible("a\x00b\x1b[31mc\x7f\x85") == "a\\x00b\\x1b[31mc\\x7f\\x85"


def test_characters_that_turn_the_direction_of_text_are_written_out() -> None:
    assert visible("user\u202egpj.exe\u2066") == "user\\u202egpj.exe\\u2066"


def test_invisible_characters_are_written_out() -> None:
    assert visible("a\u200bb\ufeff\U000e0041\u3164") == "a\\u200bb\\ufeff\\U000e0041\\u3164"


def test_a_lone_surrogate_is_written_out() -> None:
    assert visible("\ud800") == "\\ud800"
    assert as_field("\ud800x") == "\ufffdx"


def test_lines_tabs_and_joined_emoji_stay_as_they_are() -> None:
    family = "👩\u200d👩\u200d👧"
    assert visible(f"a\tb\nc {family}") == f"a\tb\nc {family}"
    assert visible("a\r\nb") == "a\nb"
    assert visible("a\rb") == "a\\x0db"


def test_markup_is_escaped_and_hidden_characters_are_marked_by_name() -> None:
    assert as_lines('<b a="1">\u202e') == (
        '&lt;b a=&#34;1&#34;&gt;<span class="ctl" title="right-to-left override">\\u202e</span>'
    )
    assert as_markup("x") == "<bdi>x</bdi>"


@given(st.text(st.characters()))
def test_no_text_opens_a_tag_or_hides_a_character(text: str) -> None:
    page = as_lines(text).replace('<span class="ctl" title="', "").replace("</span>", "")
    assert "<" not in page
    allowed = {"\n", "\t", "\u200c", "\u200d"}
    for character in visible(text):
        assert character in allowed or unicodedata.category(character) not in (
            "Cc",
            "Cs",
            "Zl",
            "Zp",
        )
        assert unicodedata.bidirectional(character) not in (
            "LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI",
        )  # fmt: skip


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(1, 50))
def test_a_folded_text_loses_nothing_but_what_it_counts(text: str, head_chars: int) -> None:
    text = text.replace("\r\n", "\n")
    folded = fold(text, head_chars=head_chars, max_chars=60)
    assert text.startswith(folded.head + folded.rest)
    assert len(folded.head) + len(folded.rest) + folded.cut_chars == len(text)


def test_a_short_text_is_not_folded() -> None:
    folded = fold("one\ntwo")
    assert (folded.head, folded.rest, folded.cut_chars) == ("one\ntwo", "", 0)


def test_a_long_text_is_folded_at_the_end_of_a_line() -> None:
    folded = fold("a line of words\n" * 30, head_chars=200)
    assert folded.head.endswith("words")
    assert folded.rest.startswith("\na line")


def test_many_lines_are_folded_by_their_number() -> None:
    assert fold("x\n" * 100).head.count("\n") == HEAD_LINES - 1


def test_a_huge_text_is_cut_and_says_by_how_much() -> None:
    folded = fold("x" * (MAX_CHARS + 5))
    assert folded.cut_chars == 5


def test_values_are_written_as_indented_json() -> None:
    assert as_text({"a": [1, "é"]}) == '{\n  "a": [\n    1,\n    "é"\n  ]\n}'


def test_values_json_has_no_form_for_are_written_all_the_same() -> None:
    assert as_text({"a": b"x"}) == '{\n  "a": "b\'x\'"\n}'
    assert as_text({(1, 2): "x"}) == "{(1, 2): 'x'}"


def test_a_value_nested_too_deeply_is_no_failure() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert "deep" in as_text(deep)


def test_a_preview_is_the_one_text_among_the_fields() -> None:
    assert preview({"question": "How?", "top_k": 5}) == "How?"
    assert preview({"a": "x", "b": "y"}) == "a: x · b: y"
    assert preview({"n": 1, "m": None}) == "n: 1"
    assert preview(None) == ""
    assert preview(["x", 2]) == "x, 2"


def test_a_preview_of_messages_is_what_was_said_last() -> None:
    assert preview([{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]) == "u"


def test_a_preview_is_one_line_of_bounded_length() -> None:
    assert preview("a\n  b\tc") == "a b c"
    assert preview("word " * 100, 10) == "word word…"
    assert len(preview({"a": {"b": "x" * 1_000_000}}, 40)) <= 40
