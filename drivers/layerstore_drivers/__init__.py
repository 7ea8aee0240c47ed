"""Storage drivers that come with layerstore, each behind its own entry point."""
