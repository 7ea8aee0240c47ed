"""The pages that show the content of a registry to people with a browser."""
