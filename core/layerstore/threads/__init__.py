"""Threads and processes: which process this is, whose an object is, whose turn it is, and threads for work."""
