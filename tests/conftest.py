"""Hypothesis searches anew on a developer's machine and repeats itself in CI, where a run must mean the same twice."""

import os

from hypothesis import settings

# A busy machine is no defect of the code under test, so no example has a deadline.
settings.register_profile("search", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "search")
# Read when torch is imported. Tests that run side by side would spin for each other's cores, and their models are tiny.
os.environ.setdefault("OMP_NUM_THREADS", "1")
