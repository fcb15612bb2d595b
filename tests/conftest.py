"""What all tests share: nothing that this machine's environment says reaches them."""

from __future__ import annotations

import os

# Before any test module is imported: the default client, the demo and the SDKs read these.
for _name in list(os.environ):
    if _name.startswith(("AFTERWORD_", "ANTHROPIC_", "OPENAI_")) and "_TEST_" not in _name:
        del os.environ[_name]

import afterword.snapshot  # noqa: E402 - the environment has to be clean first

# How much of a value is recorded must not depend on how busy this machine is.
afterword.snapshot.MAX_MS = 60_000.0
