"""What a run amounts to: the record of each scenario, waivers, and the judgement."""
