"""The life of a run: `plan` is where to begin reading."""

from fabula_operator.plan.lifecycle.run import plan

__all__ = ["plan"]
