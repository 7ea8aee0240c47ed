"""Pages of the documentation that are made of the suite: ``python -m layerstore_conformance.documents docs``."""
