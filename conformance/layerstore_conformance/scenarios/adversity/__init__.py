"""Scenarios of adversity: crashes, faults, outages, random steps against a model, hostile input, and costs."""
