"""Promises of a store about an upload, and checks that it keeps them: lifecycles, the theorem, kills and rivals."""
