"""The conformance suite: scenarios that every layerstore driver must pass.

Five modules are for users: ``harness`` and ``suite`` for a driver author's test module, ``testing`` for other tests of
theirs, ``plugin`` for pytest, and ``command`` for the command line. Every other module is in a room, and imports only
rooms below its own (pyproject.toml has the rule). From the bottom:

- ``kit``: payloads, keys, wrappers of drivers, threads. It knows nothing of scenarios. ``cli``: parts of commands.
- ``engine``: a scenario, its context, a run of it, and the planted defects. ``steps``: steps that many scenarios take.
- ``processes``: another interpreter, and a forked child.
- ``promises``: lifecycles of an upload, the theorem as checks, and the fork server that kills workers.
- ``faults``: fault plans. ``model``: a store in dicts, random steps, and histories.
- ``scenarios`` and ``defects``: all of them, by what they are of.
- ``verdict``, ``reports``, ``session``: what is made of a run, in files and in pytest.
- ``storm``, ``scaffold``, ``documents``, ``powerloss``: the other commands and tools.
"""
