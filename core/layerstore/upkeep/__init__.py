"""What keeps a store: purge removes abandoned uploads, collect what is not needed; scrub reads all again."""
