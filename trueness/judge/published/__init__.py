"""Published results, read from a file and set beside the runs of a store."""

from trueness.judge.published.comparing import (
    ComparedResult,
    ExpectedMaximum,
    PublishedComparison,
    compare_published,
    expected_maximum,
)
from trueness.judge.published.reading import PublishedResult, read_published

__all__ = [
    "ComparedResult",
    "ExpectedMaximum",
    "PublishedComparison",
    "PublishedResult",
    "compare_published",
    "expected_maximum",
    "read_published",
]
