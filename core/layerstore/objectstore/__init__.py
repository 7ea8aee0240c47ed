"""A driver for an object store, but for the calls of its service: an author writes those, and gets the rest.

An author writes a :class:`Service`, and a driver class whose ``open`` makes one and hands it to
:class:`ObjectStoreDriver`. Docs: ``docs/object-stores.md``.
"""

from layerstore.objectstore.driver import ObjectStoreDriver
from layerstore.objectstore.service import ABSENT, Got, Limits, Listed, Page, Part, Service, Stream

__all__ = ["ABSENT", "Got", "Limits", "Listed", "ObjectStoreDriver", "Page", "Part", "Service", "Stream"]
