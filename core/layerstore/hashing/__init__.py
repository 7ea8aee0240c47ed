"""Hashing: SHA-256 whose state can be saved, the cursor that hashes an upload on its way in, and its saved states."""
