"""Scenarios of the driver alone: keys, reading, writing, listing, moving, fencing, threads, forks."""
