"""The proof of families: draw defects by a seed, and tell how many of each family the suite finds."""
