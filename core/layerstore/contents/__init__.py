"""What is in a store: links, walks, listings, marks, manifests and what refers to what."""
