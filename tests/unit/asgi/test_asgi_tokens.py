"""Tokens: what is minted is read back, and nothing else is ever read."""

from __future__ import annotations

import base64
import hmac
import os
import string
import uuid
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afterword.asgi import tokens
from afterword.asgi.tokens import (
    DEFAULT_TTL_S,
    MAX_CHARS,
    MAX_DATA_IDS,
    MAX_TTL_S,
    SKEW_S,
    Claims,
    mint,
    random_subject,
    read,
    subject_of,
)
from afterword.errors import InvalidInput, TokenRejected
from afterword.ids import new_id

NOW_S = 1_790_000_000
OLD = ("k1", b"an older secret, long enough")
NEW = ("k2", b"a newer secret, long enough")
RING = (NEW, OLD)
BASE64URL = string.ascii_letters + string.digits + "-_"

external_ids = st.text(string.ascii_letters + string.digits + "._-", min_size=1, max_size=40)
data_ids = st.one_of(st.uuids().map(str), external_ids)
type_names = st.text(string.ascii_lowercase + "_", min_size=1, max_size=12)


def minted(*ids: str, ring: tokens.Keyring = RING, now_s: int = NOW_S, **options: Any) -> str:
    options = {"subject": random_subject(), "bound": False, **options}
    return mint(ring, "support-bot", ids or (new_id(),), now_s=now_s, **options)


def refusal(token: object, ring: tokens.Keyring = RING, now_s: int = NOW_S) -> str:
    with pytest.raises(TokenRejected) as caught:
        read(token, ring, now_s=now_s)
    return f"{type(caught.value).__name__}: {caught.value}"


REFUSAL = refusal("")


def signed(claims: Any, key: tuple[str, bytes] = NEW, prefix: str = "aw1") -> str:
    """A token over any claims, its MAC right: what only the holder of the secret can make."""
    payload = base64.urlsafe_b64encode(msgspec.msgpack.encode(claims)).rstrip(b"=").decode()
    text = f"{prefix}.{key[0]}.{payload}"
    return f"{text}.{tokens._mac(key[1], text)}"


@given(
    project=st.text(string.ascii_letters + " ._/-", min_size=1, max_size=40),
    ids=st.lists(data_ids, min_size=1, max_size=2, unique=True),
    types=st.none() | st.lists(type_names, max_size=3, unique=True),
    bound=st.booleans(),
    now_s=st.integers(0, 2**33),
    ttl_s=st.integers(1, MAX_TTL_S),
)
def test_what_is_minted_is_read_back(
    project: str, ids: list[str], types: list[str] | None, bound: bool, now_s: int, ttl_s: int
) -> None:
    subject = random_subject()
    token = mint(
        RING, project, ids, subject=subject, bound=bound, types=types, now_s=now_s, ttl_s=ttl_s
    )
    assert len(token) <= MAX_CHARS
    assert read(token, RING, now_s=now_s) == Claims(
        key_id="k2",
        project=project,
        data_ids=tuple(ids),
        types=None if types is None else tuple(types),
        subject=subject,
        bound=bound,
        issued_s=now_s,
        expires_s=now_s + ttl_s,
    )


def test_every_change_of_one_character_is_refused() -> None:
    token = minted(new_id(), "external.id-1", types=["rating"])
    for position, before in enumerate(token):
        for after in BASE64URL + ".=+/ \n\0é":
            if after != before:
                changed = token[:position] + after + token[position + 1 :]
                assert refusal(changed) == REFUSAL, (position, after)


def test_every_change_of_one_bit_is_refused() -> None:
    token = minted().encode()
    for position in range(len(token)):
        for bit in range(8):
            changed = bytearray(token)
            changed[position] ^= 1 << bit
            assert refusal(changed.decode("latin-1")) == REFUSAL


def test_every_change_of_one_bit_of_the_decoded_parts_is_refused() -> None:
    head, key_id, payload, mac = minted().split(".")
    for index, part in ((2, payload), (3, mac)):
        raw = tokens.bytes_of(part)
        for position in range(len(raw) * 8):
            changed = bytearray(raw)
            changed[position // 8] ^= 1 << position % 8
            parts = [head, key_id, payload, mac]
            parts[index] = tokens.base64_of(bytes(changed))
            assert refusal(".".join(parts)) == REFUSAL


def test_every_cut_and_every_addition_is_refused() -> None:
    token = minted()
    for length in range(len(token)):
        assert refusal(token[:length]) == REFUSAL
        assert refusal(token[length + 1 :]) == REFUSAL
        assert refusal(token[:length] + token[length + 1 :]) == REFUSAL
    for extra in (*BASE64URL, ".", "=", "\n", " ", "\0", "." + token):
        assert refusal(token + extra) == REFUSAL
        assert refusal(extra + token) == REFUSAL


@pytest.mark.parametrize("other", [None, 5, 1.5, True, b"aw1.k.p.m", ["aw1"], {"token": "aw1"}])
def test_what_is_no_text_is_refused(other: object) -> None:
    assert refusal(other) == REFUSAL


@pytest.mark.parametrize("prefix", ["aw0", "aw2", "AW1", "aw", "", "aw1.aw1"])
def test_another_version_is_refused_even_when_signed(prefix: str) -> None:
    assert refusal(signed(_claims(), prefix=prefix)) == REFUSAL


def test_parts_of_two_valid_tokens_do_not_mix() -> None:
    one, other = minted().split("."), minted().split(".")
    assert refusal(".".join([*one[:2], other[2], one[3]])) == REFUSAL
    assert refusal(".".join([*one[:3], other[3]])) == REFUSAL


def test_base64_that_is_not_canonical_is_refused() -> None:
    for _ in range(20):
        head, key_id, payload, mac = minted().split(".")
        raw = tokens.bytes_of(mac)
        spellings = [
            mac[:-1] + last
            for last in BASE64URL
            if base64.urlsafe_b64decode(mac[:-1] + last + "=") == raw and last != mac[-1]
        ]
        assert len(spellings) == 3
        for spelling in spellings:
            assert refusal(f"{head}.{key_id}.{payload}.{spelling}") == REFUSAL


def test_a_payload_that_is_not_canonical_is_refused_even_when_signed() -> None:
    payload = "gA" + "B"
    text = f"aw1.k2.{payload}"
    assert refusal(f"{text}.{tokens._mac(NEW[1], text)}") == REFUSAL


@pytest.mark.parametrize("ttl_s", [1, 61, DEFAULT_TTL_S, MAX_TTL_S])
def test_a_token_lives_from_its_minting_to_its_expiry_give_or_take_the_skew(ttl_s: int) -> None:
    token = minted(ttl_s=ttl_s)
    begin_s, end_s = NOW_S - SKEW_S, NOW_S + ttl_s + SKEW_S
    for now_s in (begin_s, begin_s + 1, NOW_S, NOW_S + ttl_s - 1, end_s - 1):
        assert read(token, RING, now_s=now_s)
    for now_s in (0, begin_s - 61, begin_s - 1, end_s, end_s + 1, end_s + 61, 2**40):
        assert refusal(token, now_s=now_s) == REFUSAL


def test_no_token_lives_longer_than_30_days() -> None:
    claims = read(minted(ttl_s=10 * MAX_TTL_S), RING, now_s=NOW_S)
    assert claims.expires_s == NOW_S + 30 * 86_400


def test_keys_rotate_without_a_false_refusal_until_the_old_one_retires() -> None:
    before = minted(ring=(OLD,))
    assert before.startswith("aw1.k1.")
    after = minted(ring=RING)
    assert after.startswith("aw1.k2.")
    assert read(before, RING, now_s=NOW_S).key_id == "k1"
    assert read(after, RING, now_s=NOW_S).key_id == "k2"
    assert refusal(before, (NEW,)) == REFUSAL
    assert read(after, (NEW,), now_s=NOW_S)


def test_a_key_id_does_not_carry_over_to_another_secret() -> None:
    assert refusal(minted(ring=(OLD,)), (("k1", NEW[1]),)) == REFUSAL
    assert refusal(minted(ring=(OLD,)), ()) == REFUSAL


def test_an_unknown_key_costs_the_same_work_as_a_known_one(monkeypatch: pytest.MonkeyPatch) -> None:
    signed_texts: list[str] = []
    real = tokens._mac

    def counted(secret: bytes, text: str) -> str:
        signed_texts.append(text)
        return real(secret, text)

    known, unknown = minted(), minted(ring=(("k9", b"a secret nobody has kept"),))
    monkeypatch.setattr(tokens, "_mac", counted)
    read(known, RING, now_s=NOW_S)
    refusal(unknown)
    assert signed_texts == [known.rpartition(".")[0], unknown.rpartition(".")[0]]


def _claims(**changed: Any) -> list[Any]:
    fields = {
        "audience": "feedback",
        "project": "support-bot",
        "data_ids": [uuid.uuid4().bytes],
        "types": None,
        "subject": b"0123456789ab",
        "bound": False,
        "issued_s": NOW_S,
        "expires_s": NOW_S + 60,
    }
    return list({**fields, **changed}.values())


def test_the_signed_claims_of_these_tests_are_good_ones() -> None:
    assert read(signed(_claims()), RING, now_s=NOW_S).project == "support-bot"


@pytest.mark.parametrize("audience", ["ingest", "session", "", "Feedback", None, 1])
def test_a_token_for_another_purpose_is_refused_even_when_signed(audience: object) -> None:
    assert refusal(signed(_claims(audience=audience))) == REFUSAL


@pytest.mark.parametrize(
    "changed",
    [
        {"data_ids": []},
        {"data_ids": None},
        {"data_ids": [b"short"]},
        {"data_ids": [5]},
        {"data_ids": [uuid.uuid4().bytes] * (MAX_DATA_IDS + 1)},
        {"project": b"support-bot"},
        {"types": "rating"},
        {"types": [1]},
        {"subject": "text"},
        {"bound": 1},
        {"issued_s": "now"},
        {"issued_s": None},
        {"expires_s": "never"},
        {"expires_s": None},
    ],
)
def test_claims_of_the_wrong_kind_are_refused_even_when_signed(changed: dict[str, Any]) -> None:
    assert refusal(signed(_claims(**changed))) == REFUSAL


def test_claims_of_the_wrong_number_are_refused_even_when_signed() -> None:
    assert refusal(signed(_claims()[:-1])) == REFUSAL
    assert refusal(signed([*_claims(), None])) == REFUSAL
    assert refusal(signed({"audience": "feedback"})) == REFUSAL
    assert refusal(signed("feedback")) == REFUSAL


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.binary(max_size=20)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=150)
@given(plain)
def test_no_signed_payload_makes_read_fail_otherwise(claims: Any) -> None:
    assert refusal(signed(claims)) == REFUSAL


@settings(max_examples=150)
@given(st.integers(0, 7), plain)
def test_no_signed_claim_makes_read_fail_otherwise(index: int, value: Any) -> None:
    claims = _claims()
    claims[index] = value
    try:
        found = read(signed(claims), RING, now_s=NOW_S)
    except TokenRejected:
        return
    assert found.data_ids and type(found.expires_s) is int


@settings(max_examples=300)
@given(
    st.text(max_size=450)
    | st.binary(max_size=64).map(lambda raw: f"aw1.k2.{tokens.base64_of(raw)}.{'A' * 43}")
    | st.binary(min_size=32, max_size=32).map(lambda raw: f"aw1.k1.gA.{tokens.base64_of(raw)}")
)
def test_nothing_unsigned_is_ever_read(text: str) -> None:
    assert refusal(text) == REFUSAL


def test_ids_that_do_not_fit_are_left_out_from_the_end() -> None:
    ids = [new_id() for _ in range(20)]
    assert read(minted(*ids), RING, now_s=NOW_S).data_ids == tuple(ids[:MAX_DATA_IDS])
    long_ids = [f"{index}{'x' * 100}" for index in range(5)]
    token = minted(*long_ids)
    assert len(token) <= MAX_CHARS
    assert read(token, RING, now_s=NOW_S).data_ids == tuple(long_ids[:2])


def test_a_token_that_cannot_be_short_enough_is_not_minted() -> None:
    with pytest.raises(InvalidInput, match="400 characters") as caught:
        minted(types=["x" * 30] * 10)
    assert caught.value.field == "types"


def test_a_token_over_400_characters_is_refused_even_when_signed() -> None:
    claims = _claims(types=["x" * 60] * 4)
    assert len(signed(claims)) > MAX_CHARS
    assert refusal(signed(claims)) == REFUSAL
    assert read(signed(_claims(types=["x" * 60])), RING, now_s=NOW_S)


@pytest.mark.parametrize(
    "data_id",
    [
        "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",  # an upper-case UUID is another text
        "a0eebc999c0b4ef8bb6d6bb9bd380a11",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        "x",
        "x" * 128,
        "chat.42_a-b",
    ],
)
def test_an_id_comes_back_as_it_was_written(data_id: str) -> None:
    assert read(minted(data_id), RING, now_s=NOW_S).data_ids == (data_id,)


def test_a_token_holds_neither_the_user_nor_anything_that_tells_two_secrets_apart() -> None:
    subject = subject_of(RING, "k2", "user", "ada@example.com")
    assert subject is not None
    token = minted(subject=subject, bound=True)
    assert "ada" not in token
    assert b"ada" not in tokens.bytes_of(token.split(".")[2])
    assert subject != subject_of(RING, "k1", "user", "ada@example.com")


def test_a_subject_is_stable_for_its_kind_and_name_and_no_other() -> None:
    names = [("user", "a"), ("session", "a"), ("user", "b"), ("user", ""), ("user", "a\ud800")]
    subjects = [subject_of(RING, "k2", kind, name) for kind, name in names]
    assert len(set(subjects)) == len(names)
    assert subjects == [subject_of(RING, "k2", kind, name) for kind, name in names]
    assert subject_of((NEW,), "k1", "user", "a") is None
    assert random_subject() != random_subject()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_draws_other_subjects_than_its_parent() -> None:
    random_subject()  # of many that are drawn at once
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writes, random_subject().encode())
        os._exit(0)
    os.close(writes)
    with os.fdopen(reads, "rb") as told:
        theirs = told.read().decode()
    os.waitpid(child, 0)
    assert len(theirs) == len(random_subject())
    assert theirs not in {random_subject() for _ in range(600)}


def test_no_two_draws_are_alike() -> None:
    assert len({random_subject() for _ in range(2_000)}) == 2_000


@pytest.mark.parametrize(
    "data_id",
    [
        "01a2163c-60c5-74b8-9576-39a2997eae4c",
        "01A2163C-60C5-74B8-9576-39A2997EAE4C",
        "01a2163c60c574b8957639a2997eae4c",
        "01a2163c6-0c5-74b8-9576-39a2997eae4c",
        "01a2163c-60c5-74b8-9576-39a2997eae4",
        "01a2163c-60c5-74b8-9576-39a2997eae4g",
        "01a2163c-60c5-74b8-957639-a2997eae4c",
        "----01a2163c60c574b8957639a2997eae4c",
    ],
)
def test_only_a_uuid_in_its_own_spelling_travels_as_bytes(data_id: str) -> None:
    is_short = data_id == "01a2163c-60c5-74b8-9576-39a2997eae4c"
    assert isinstance(tokens.short_id(data_id), bytes) == is_short
    assert read(minted(data_id), RING, now_s=NOW_S).data_ids == (data_id,)


@given(st.text(), st.text())
def test_two_users_never_share_a_subject(one: str, other: str) -> None:
    same = subject_of(RING, "k2", "user", one) == subject_of(RING, "k2", "user", other)
    assert same == (one == other)


def test_keys_for_subjects_and_for_tokens_differ() -> None:
    text = "user:ada"
    mac = tokens.bytes_of(tokens._mac(NEW[1], text))
    subject = subject_of(RING, "k2", "user", "ada")
    assert subject is not None
    assert not mac.startswith(tokens.bytes_of(subject))
    assert mac != hmac.digest(NEW[1], text.encode(), "sha256")


def test_keys_are_derived_as_rfc_5869_says() -> None:
    extracted = hmac.digest(b"afterword", NEW[1], "sha256")
    key = hmac.digest(extracted, b"afterword feedback-token/1\x01", "sha256")
    expected = tokens.base64_of(hmac.digest(key, b"aw1.k2.x", "sha256"))
    assert tokens._mac(NEW[1], "aw1.k2.x") == expected
