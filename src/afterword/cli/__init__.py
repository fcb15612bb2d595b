"""The command line: the `afterword` program and its commands (layer 6)."""
