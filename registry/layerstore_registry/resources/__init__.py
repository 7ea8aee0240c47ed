"""What the OCI distribution specification serves: blobs, uploads, manifests, tags and lists."""
