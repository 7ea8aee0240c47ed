"""The suite in a pytest session: its items, and the verdict at the end."""
