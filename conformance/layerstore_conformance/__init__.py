"""The conformance suite: scenarios that any layerstore driver has to pass."""
