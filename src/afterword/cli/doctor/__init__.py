"""The doctor: tries each link of the loop and names the first that is broken (layer 6)."""
