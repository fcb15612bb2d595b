"""What all tests share: nothing that this machine's environment says reaches them."""

from __future__ import annotations

import os

# Before any test module is imported: the default client, the demo and the SDKs read these.
for _name in list(os.environ):
    if _name.startswith(("AFTERWORD_", "ANTHROPIC_", "OPENAI_")):
        del os.environ[_name]
