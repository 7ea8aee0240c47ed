"""The judgement of a run: the record of each scenario, waivers, and the outcome."""
