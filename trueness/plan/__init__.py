"""What a campaign would do, before anything is trained or written."""

from trueness.plan.dry_run import DryRun, hours_text, planned, resolution, size_text
from trueness.plan.work import Plan, measured_rate, plan

__all__ = [
    "DryRun",
    "Plan",
    "hours_text",
    "measured_rate",
    "plan",
    "planned",
    "resolution",
    "size_text",
]
