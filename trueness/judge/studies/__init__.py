"""Analysis of a table of trials: coverage, importance, trends, and budgets beside each other."""

from trueness.judge.studies.across import Across, across
from trueness.judge.studies.analysis import Analysis, analyze
from trueness.judge.studies.coverage import Coverage, Coverages, coverage
from trueness.judge.studies.reading import read_study, study_folders
from trueness.judge.studies.trials import Range, Study, Trial, from_rows

__all__ = [
    "Across",
    "Analysis",
    "Coverage",
    "Coverages",
    "Range",
    "Study",
    "Trial",
    "across",
    "analyze",
    "coverage",
    "from_rows",
    "read_study",
    "study_folders",
]
