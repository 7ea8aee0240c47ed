"""``python -m layerstore``: the command line."""

from layerstore.cli import main

main()
