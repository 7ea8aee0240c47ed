"""Other processes: a fresh interpreter with the store open, and a forked child."""
