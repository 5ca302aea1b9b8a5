"""Searches of spaces: trials asked for, trained and stored; what was found, and what follows.

Names are loaded when they are first used: reading a space takes neither torch nor Optuna.
"""

# ruff: noqa: F401 - what stands here is handed on
from typing import TYPE_CHECKING

from trueness.lazy import handed_on

if TYPE_CHECKING:
    from trueness.search.definition import Search
    from trueness.search.loading import load_search
    from trueness.search.pruning import make_pruner
    from trueness.search.space import Space
    from trueness.search.stored import StoredStudy, find_study, study_names, study_of
    from trueness.search.studies import open_storage, open_study
    from trueness.search.trainer import Objective, Trainer
    from trueness.search.trials import Outcome, search_trials

__all__, __getattr__, __dir__ = handed_on(__name__, __file__)
