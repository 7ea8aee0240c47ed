"""The engine: a scenario, the context it works in, a run of it, and the defects that prove it."""
