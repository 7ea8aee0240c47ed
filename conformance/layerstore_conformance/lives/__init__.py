"""Whole lives of an upload: what the store promised, the theorem checked on it, and processes killed in the middle."""
