"""``python -m layerstore_conformance.documents docs``: write every page into a folder."""

import sys
from pathlib import Path

from layerstore_conformance.documents.pages import write

write(Path(sys.argv[1]))
