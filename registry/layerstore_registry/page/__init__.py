"""The page: what a registry holds, for people with a browser."""
