"""The planted defects. A class or function with the decorator is one; its name is the id."""
