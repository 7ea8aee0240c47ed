"""Parts that know nothing of scenarios: payloads, layers, keys, wrappers of drivers, threads."""
