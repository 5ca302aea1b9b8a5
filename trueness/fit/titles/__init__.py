"""The engine for titles: one encoder at a time, in batches of similar length."""

from __future__ import annotations

from trueness.fit.parallel import Ranks, init_distributed
from trueness.fit.titles.data import Part, TitlesData, load_data, tokenizer_of
from trueness.fit.titles.loop import Saving, Setting, TitlesFitted, fit_titles, precision_on
from trueness.fit.titles.objective import TeacherTargets
from trueness.fit.titles.progress import Event, Report
from trueness.fit.titles.work import Sampled, expected_gflop, gflop_of

__all__ = [
    "Event",
    "Part",
    "Ranks",
    "Report",
    "Sampled",
    "Saving",
    "Setting",
    "TeacherTargets",
    "TitlesData",
    "TitlesFitted",
    "expected_gflop",
    "fit_titles",
    "gflop_of",
    "init_distributed",
    "load_data",
    "precision_on",
    "tokenizer_of",
]
