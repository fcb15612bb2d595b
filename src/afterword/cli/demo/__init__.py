"""The demo: a chat on a real language model with feedback under every answer (layer 6)."""
