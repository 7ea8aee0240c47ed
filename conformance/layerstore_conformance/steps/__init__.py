"""Steps that many scenarios take: check what is stored, watch a service, set a rival on it, make an upload old."""
