"""What a store has promised of an upload, and checks that it keeps it: lifecycles, the theorem, kills and rivals."""
