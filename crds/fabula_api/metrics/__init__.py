"""The metrics of an EvalRun. To add one, add a file to `records`; a recipe may bring others of its own."""

from fabula_api.metrics.known import METRICS, NAME_PATTERN, NAMES
from fabula_api.metrics.record import PROFILES, Definition, Metric, Profile, ProfileName

__all__ = ["METRICS", "NAMES", "NAME_PATTERN", "PROFILES", "Definition", "Metric", "Profile", "ProfileName"]
