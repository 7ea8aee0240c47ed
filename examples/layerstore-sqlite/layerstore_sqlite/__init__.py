"""Container layers in one SQLite file: a layerstore driver, scheme ``sqlite``."""
