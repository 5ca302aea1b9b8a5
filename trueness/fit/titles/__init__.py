"""The engine for titles: one encoder at a time, in batches of similar length."""

from __future__ import annotations

from trueness.fit.parallel import Ranks, join_ranks
from trueness.fit.titles.data import Part, TitlesData, load_data, tokenizer_of
from trueness.fit.titles.loop import Saving, Setting, TitlesFitted, fit_titles, precision_on
from trueness.fit.titles.objective import TeacherTargets
from trueness.fit.titles.progress import Event, Report

__all__ = [
    "Event",
    "Part",
    "Ranks",
    "Report",
    "Saving",
    "Setting",
    "TeacherTargets",
    "TitlesData",
    "TitlesFitted",
    "fit_titles",
    "join_ranks",
    "load_data",
    "precision_on",
    "tokenizer_of",
]
