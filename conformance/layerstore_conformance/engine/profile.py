"""Profiles: how much of the suite a run includes."""

from __future__ import annotations

from typing import Literal, get_args

Profile = Literal["quick", "default", "full"]
"""``quick`` takes seconds, ``default`` is for CI, ``full`` adds layers of a GiB."""

PROFILES: tuple[Profile, ...] = get_args(Profile)
"""From the smallest to the largest: each includes the one before it."""
