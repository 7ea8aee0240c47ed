"""Scenarios of the upkeep of a store: purge, scrub, collection, other tools, and nothing left behind."""
