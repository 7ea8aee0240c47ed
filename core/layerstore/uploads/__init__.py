"""An upload, from its first byte to its finish: input, front, spool, and the steps that make a layer of it."""
