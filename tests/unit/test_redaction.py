"""Redaction: keys of thirty kinds are found wherever they stand, and failure is closed."""

from __future__ import annotations

import re
import threading
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import afterword
from afterword import Client
from afterword.codec import to_json
from afterword.errors import ConfigError
from afterword.redaction import FAILED, Redactor, may_hold_secret

# Made up, and put together here, so that no scanner takes this file for a leak.
_A = "Ab1Cd2Ef3Gh4Ij5Kl6Mn7Op8Qr9St0Uv"
_HEX = "0123456789abcdef" * 3
CANARIES = {
    "OpenAI": f"sk-{_A}{_A[:16]}",
    "OpenAI project": f"sk-proj-{_A}_{_A}-{_A}",
    "Anthropic": f"sk-ant-api03-{_A}-{_A}AA",
    "OpenRouter": f"sk-or-v1-{_HEX}",
    "Langfuse secret": "sk-lf-12345678-1234-1234-1234-123456789abc",
    "Langfuse public": "pk-lf-12345678-1234-1234-1234-123456789abc",
    "Stripe live": f"sk_live_{_A[:24]}",
    "Stripe test": f"sk_test_{_A[:24]}",
    "Stripe publishable": f"pk_live_{_A[:24]}",
    "Stripe restricted": f"rk_live_{_A[:24]}",
    "AWS": "AKIA" + "IOSFODNN7EXAMPLE",
    "AWS session": "ASIA" + "IOSFODNN7EXAMPLE",
    "GitHub personal": f"ghp_{_A}abcd",
    "GitHub OAuth": f"gho_{_A}abcd",
    "GitHub user": f"ghu_{_A}abcd",
    "GitHub server": f"ghs_{_A}abcd",
    "GitHub refresh": f"ghr_{_A}abcd",
    "GitHub fine-grained": f"github_pat_{_A[:22]}_{_A}",
    "GitLab": f"glpat-{_A[:20]}",
    "Google": f"AIza{_A}Wx-",
    "Hugging Face": f"hf_{_A}",
    "Groq": f"gsk_{_A}",
    "xAI": f"xai-{_A}",
    "npm": f"npm_{_A}abcd",
    "Replicate": f"r8_{_A}",
    "DigitalOcean": f"dop_v1_{_HEX}",
    "Slack bot": "xoxb-" + "123456789012-123456789012-" + _A[:24],
    "Slack user": "xoxp-" + "123456789012-123456789012-" + _A[:24],
    "Perplexity": f"pplx-{_A}",
    "NVIDIA": f"nvapi-{_A}_{_A}",
    "Tavily": f"tvly-{_A}",
    "Slack app": "xapp-" + "1-A0123456789-1234567890-" + _HEX,
    "Google OAuth": f"GOCSPX-{_A[:28]}",
    "LangSmith": f"lsv2_pt_{_HEX[:32]}_0123456789",
    "webhook": f"whsec_{_A}",
    "Afterword": f"awk_0123456789ab_{_A}",
    "Shopify": f"shpat_{_HEX[:32]}",
    "JWT": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0." + _A,
    "bearer token": f"Authorization: Bearer {_A}",
    "RSA key": f"-----BEGIN RSA PRIVATE KEY-----\n{_A}\n{_A}\n-----END RSA PRIVATE KEY-----",
    "OpenSSH key": f"-----BEGIN OPENSSH PRIVATE KEY-----\n{_A}\n-----END OPENSSH PRIVATE KEY-----",
    "EC key": f"-----BEGIN EC PRIVATE KEY-----\n{_A}\n-----END EC PRIVATE KEY-----",
    "PGP key": f"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n{_A}\n-----END PGP PRIVATE KEY BLOCK-----",
    "key cut short": f"-----BEGIN PRIVATE KEY-----\n{_A}\n{_A}",
}
AROUND = ["{}", " {} ", "key={}", '"{}"', "({}),", "ü: {} ü", "\n{}\n", "x\t{}"]


def secret_part(canary: str) -> str:
    """What must be nowhere: the canary without the words that say what it is."""
    return max(re.split(r"[\s]+|-----", canary), key=len)


def test_there_are_at_least_thirty_kinds() -> None:
    assert len(CANARIES) >= 30


@pytest.mark.parametrize("canary", CANARIES.values(), ids=CANARIES)
@pytest.mark.parametrize("around", AROUND)
def test_a_secret_is_taken_out_wherever_it_stands(canary: str, around: str) -> None:
    text = f"before {around.format(canary)} after"
    redacted = Redactor().text(text)
    assert secret_part(canary) not in redacted
    assert "<redacted: " in redacted
    assert redacted.startswith("before ")
    if canary != CANARIES["key cut short"]:
        assert redacted.endswith(" after")


@pytest.mark.parametrize("canary", CANARIES.values(), ids=CANARIES)
def test_the_quick_look_finds_it_in_json_too(canary: str) -> None:
    redactor = Redactor()
    for value in (canary, {"k": [canary]}, {canary: 1}, f"é\ud800{canary}", f"line\n{canary}"):
        assert redactor.may_change(to_json(value))


@pytest.mark.parametrize("canary", CANARIES.values(), ids=CANARIES)
def test_no_canary_reaches_the_store_by_any_field(client: Client, canary: str) -> None:
    data_id = client.log(
        inputs={"raw": canary.encode(), "deep": [[{"k": canary}]], canary: canary},
        output=canary,
        messages=[{"role": "user", "content": canary}],
        error=RuntimeError(canary),
        metadata={"m": canary},
        tags=[canary],
        feedback=[
            {"type": "correction", "value": canary, "comment": canary, "metadata": {"m": canary}}
        ],
    )
    row, history = client.store.generation(data_id), client.store.history([data_id])
    if row is None:
        assert client.flush(10)
        row = client.store.generation(data_id)
    for kept in (repr(row), repr(history), repr(client.get(data_id))):
        assert secret_part(canary) not in kept


@pytest.mark.parametrize("canary", CANARIES.values(), ids=CANARIES)
def test_a_secret_in_bytes_alone_is_found(client: Client, canary: str) -> None:
    kept = client.get(client.log(inputs=canary.encode()))
    assert kept is not None
    assert secret_part(canary).encode() not in kept.inputs
    assert b"<redacted: " in kept.inputs


@pytest.mark.parametrize("canary", CANARIES.values(), ids=CANARIES)
def test_a_secret_split_between_chunks_of_a_stream_is_found(client: Client, canary: str) -> None:
    @afterword.generation(client=client, output=True)
    def stream(at: int):  # type: ignore[no-untyped-def]
        yield canary[:at]
        yield canary[at:]

    with afterword.trail() as trail:
        for at in range(len(canary) + 1):
            list(stream(at))
        for data_id in trail.data_ids:
            kept = client.get(data_id)
            assert kept is not None
            assert secret_part(canary) not in kept.output


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Ask about sk-learn and pk-values, ghp, hf_hub or AKIA.",
        "The bearer of this letter is Bearer Jones.",
        "eyJ is how JSON begins in base64",
        "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----",
        "risk-management-of-a-very-long-hyphenated-word-1234567890",
        "task_0123456789abcdef0123456789",
        "desk-proj-abcdefghijklmnopqrstuvwx",
        "0190f5fe-7c00-7a00-8000-000000000000",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert Redactor().text(text) == text


def test_the_public_part_of_a_conversation_stays() -> None:
    text = f"My key is {CANARIES['OpenAI']} and my question is: why?"
    assert Redactor().text(text) == "My key is <redacted: api key> and my question is: why?"


def test_several_secrets_in_one_text_are_all_taken_out() -> None:
    redacted = Redactor().text(" | ".join(CANARIES[name] for name in sorted(CANARIES)[:-1]))
    for name in sorted(CANARIES)[:-1]:
        if name != "key cut short":
            assert secret_part(CANARIES[name]) not in redacted


@settings(max_examples=200)
@given(st.text(max_size=200))
def test_redacting_twice_is_as_good_as_once(text: str) -> None:
    redactor = Redactor()
    once = redactor.text(text)
    assert redactor.text(once) == once
    if not may_hold_secret(text):
        assert once == text


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(json_values)
def test_a_value_without_secrets_is_the_same_value(value: Any) -> None:
    assert Redactor().value(value) == value


def test_rules_of_the_user_come_beside_the_built_in_ones() -> None:
    redactor = Redactor([r"\d{3}-\d{4}", re.compile("ACME", re.IGNORECASE), str.strip])
    text = f" Call 555-1234 at Acme with {CANARIES['OpenAI']} "
    assert redactor.text(text) == "Call <redacted> at <redacted> with <redacted: api key>"
    assert redactor.value({"Acme": [1, ("555-1234",)]}) == {"<redacted>": [1, ["<redacted>"]]}


def test_the_built_in_rules_can_be_left_out() -> None:
    bare = Redactor(["ACME"], defaults=False)
    assert bare.text(f"ACME {CANARIES['OpenAI']}") == f"<redacted> {CANARIES['OpenAI']}"


class Odd(str):
    pass


def out_of_time(text: str) -> str:
    raise TimeoutError(text)


def leaves(text: str) -> str:
    raise SystemExit(text)


@pytest.mark.parametrize(
    "rule",
    [
        out_of_time,
        leaves,
        lambda text: None,
        lambda text: text.encode(),
        lambda text: Odd(text),
        lambda: "",
    ],
)
def test_a_rule_that_fails_leaves_a_note_and_never_the_text(rule: Any) -> None:
    faults: list[str] = []
    redactor = Redactor([rule], on_fault=lambda kind, error: faults.append(kind))
    assert redactor.text("private") == FAILED
    assert redactor.value({"private": ["private", b"private"]}) == {
        FAILED: [FAILED, FAILED.encode()]
    }
    assert faults == ["redaction"] * 4


def test_a_rule_that_takes_too_long_leaves_a_note() -> None:
    clock = iter((0, 10_000_000, 60_000_000))
    redactor = Redactor([str.upper, str.lower], clock_ns=lambda: next(clock))
    assert redactor.text("private") == FAILED


def test_a_rule_that_fails_keeps_the_rest_of_the_record() -> None:
    client = Client("memory:", project="main", redact=[leaves])
    data_id = client.log(inputs={"q": "private"}, output="private", model="small", error="private")
    one = client.feedback(data_id, "comment", "private", user="ann", comment="private")
    kept = client.get(data_id)
    assert kept is not None
    assert (kept.inputs, kept.output, kept.model) == ({FAILED: FAILED}, FAILED, "small")
    assert kept.error is not None
    assert kept.error.message == FAILED
    assert (one.value, one.comment, one.user) == (FAILED, FAILED, "ann")
    assert client.status().faults > 0
    assert client.status().dropped == 0
    client.close()


def test_the_text_that_could_not_be_redacted_is_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    client = Client("memory:", redact=[out_of_time])
    client.log(inputs="private words")
    assert client.flush(10)
    client.close()
    warnings = [entry.getMessage() for entry in caplog.records if entry.levelname == "WARNING"]
    assert warnings
    assert "private words" not in "".join(warnings)


@pytest.mark.parametrize("rule", ["(unclosed", b"bytes", 5, None])
def test_a_rule_that_is_none_is_refused_at_configuration(rule: Any) -> None:
    with pytest.raises(ConfigError, match="redaction rule"):
        Redactor([rule])


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN PRIVATE KEY-----" * 3_000,
        "sk-" * 30_000,
        "eyJ" * 30_000,
        "eyJ" + "a" * 90_000,
        "Bearer " * 13_000,
        "bearer" + " " * 90_000,
        "_" * 90_000,
        "-" * 90_000,
    ],
    ids=lambda text: text[:12],
)
def test_text_made_to_be_slow_is_not(text: str) -> None:
    # Quadratic work would take minutes here; the bound is that of the slowest machine imaginable.
    started_s = time.monotonic()
    Redactor().text(text)
    assert time.monotonic() - started_s < 5


def test_one_redactor_serves_many_threads() -> None:
    redactor, wrong = Redactor([r"\d"]), []

    def work() -> None:
        for _ in range(300):
            if redactor.text(f"a1 {CANARIES['OpenAI']}") != "a<redacted> <redacted: api key>":
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("offset", range(-24, 25, 4))
def test_a_secret_is_found_wherever_a_long_text_is_searched_piece_by_piece(offset: int) -> None:
    for secret in ("sk-abcdefghijklmnop123456", "AKIAABCDEFGHIJKLMNOP", "github_pat_" + "a1" * 12):
        before = "x" * (65_536 + offset - 1) + " "
        assert secret not in Redactor().text(f"{before}{secret} after")
