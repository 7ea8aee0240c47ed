"""A model of a store, and comparisons of a store with it: random steps, and histories of a key."""
