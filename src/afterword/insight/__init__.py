"""What is made of records once they are kept: exports (layer 5)."""
