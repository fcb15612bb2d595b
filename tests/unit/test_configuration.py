"""Configuration: arguments beat the environment beats the defaults."""

from __future__ import annotations

import re
from typing import Any

import pytest

import afterword
from afterword import Client, default
from afterword.configuration import configuration, is_disabled
from afterword.errors import ConfigError

KEYS = "new:0123456789abcdef,old:fedcba9876543210"


def test_without_anything_said_the_defaults_count() -> None:
    found = configuration(environment={})
    assert (found.url, found.project) == ("sqlite:///afterword.db", "default")
    assert (found.api_key, found.keyring, found.redact) == (None, (), ())


def test_the_environment_beats_the_defaults_and_arguments_beat_both() -> None:
    environment = {
        "AFTERWORD_URL": "memory:",
        "AFTERWORD_PROJECT": "theirs",
        "AFTERWORD_API_KEY": "key",
        "AFTERWORD_SECRET": KEYS,
    }
    found = configuration(environment=environment)
    assert (found.url, found.project, found.api_key) == ("memory:", "theirs", "key")
    assert found.keyring == (("new", b"0123456789abcdef"), ("old", b"fedcba9876543210"))
    told = configuration(
        "sqlite:///x.db", "ours", api_key="mine", secret="k:0123456789abcdef!",
        environment=environment,
    )  # fmt: skip
    assert (told.url, told.project, told.api_key) == ("sqlite:///x.db", "ours", "mine")
    assert told.keyring == (("k", b"0123456789abcdef!"),)


def test_secrets_are_not_shown() -> None:
    shown = repr(configuration("memory:", api_key="hush", secret=KEYS, environment={}))
    assert "hush" not in shown
    assert "0123456789abcdef" not in shown


@pytest.mark.parametrize(
    "arguments",
    [
        {"url": 5},
        {"project": "-a"},
        {"project": "a" * 129},
        {"project": "a\nb"},
        {"project": "<b>"},
        {"project": 5},
        {"secret": "0123456789abcdef"},
        {"secret": "k:short"},
        {"secret": "k k:0123456789abcdef"},
        {"secret": "k:0123456789abcdef,k:fedcba9876543210"},
        {"redact": "one rule"},
        {"redact": re.compile("one")},
        {"redact": str.upper},
    ],
)
def test_what_is_not_usable_is_refused_at_once(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        configuration(**arguments, environment={})


@pytest.mark.parametrize(
    "url",
    [
        "mysql://host/db", "afterword.db", "", ":", "sqlite:", "sqlite://", "sqlite:///", "sqlite:x",
        "sqlite:///a\0b", "sqlite:///x?mode=ro", "memory:x", "memory://host", "../sqlite:",
    ],
)  # fmt: skip
def test_a_url_that_names_no_store_is_refused_with_what_may_stand(url: str) -> None:
    with pytest.raises(ConfigError, match="sqlite:|memory:"):
        afterword.stores.open_store(url)


@pytest.mark.parametrize("rule", ["(", 5, None])
def test_a_redaction_rule_that_is_none_is_refused(rule: Any) -> None:
    with pytest.raises(ConfigError, match="redaction rule"):
        Client("memory:", redact=[rule])


@pytest.mark.parametrize(
    ("value", "disabled"), [("1", True), ("true", True), ("yes", True), ("0", False), ("", False)]
)
def test_afterword_disabled_is_read_from_the_environment(value: str, disabled: bool) -> None:
    assert is_disabled({"AFTERWORD_DISABLED": value}) is disabled
    assert is_disabled({}) is False


def test_the_default_client_is_made_once_and_replaced_by_configure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(default, "_default", None)
    monkeypatch.setenv("AFTERWORD_URL", "memory:")
    monkeypatch.setenv("AFTERWORD_PROJECT", "theirs")
    first = default.default_client()
    assert default.default_client() is first
    assert first.project == "theirs"
    second = afterword.configure("memory:", project="ours")
    assert default.default_client() is second
    data_id = afterword.log(inputs="q")
    one = afterword.feedback(data_id, "rating", "good")
    kept = afterword.get(data_id)
    assert kept is not None
    assert kept.feedback == [one]
    assert afterword.flush(10)
    assert afterword.status().stored == 1
    first.close()
    second.close()


def test_configure_with_something_wrong_leaves_the_default_client_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = Client("memory:")
    monkeypatch.setattr(default, "_default", client)
    with pytest.raises(ConfigError):
        afterword.configure("nonsense")
    assert default.default_client() is client
    client.close()
