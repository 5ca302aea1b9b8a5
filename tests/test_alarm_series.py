"""Alarms over time: what is drawn is what was raised, of the part that is shown alone."""

import numpy as np
import pytest

from tests.golden import market_predictions, named
from trueness.document import Document
from trueness.evaluation.metrics import alarm_cut
from trueness.judge.alarm_series import alarm_sections
from trueness.judge.comparison import measured_part


@pytest.fixture(scope="module")
def drawn(golden_market):
    (key,) = [key for key, name in named(golden_market).items() if name == "bce_1"]
    run = golden_market.run(key)
    part = measured_part(run)
    return run, part, Document("", alarm_sections(part, "oof", run.estimands)).figures()


def test_every_alarm_is_a_hit_or_a_false_alarm_and_every_other_positive_missed(drawn):
    run, part, figures = drawn
    raised = part.score > alarm_cut(part.score, run.estimands.budget)
    names = ("missed positive", "false alarm", "hit")
    marks = dict.fromkeys(names, 0)
    for figure in figures:
        for trace in figure.data:
            name = trace["name"].partition(" (")[0]
            if name in marks:
                marks[name] += len(trace["x"])
    positive = part.y == 1
    inside = np.ones(len(part), bool) if part.group is None else np.isin(
        part.group, np.unique(part.group[raised]))  # fmt: skip
    counts = (~raised & positive & inside, raised & ~positive, raised & positive)
    assert list(marks.values()) == [int(one.sum()) for one in counts]
    assert marks["hit"] > 0


def test_no_unit_of_another_part_is_drawn(drawn):
    run, part, figures = drawn
    shown = {x for figure in figures for trace in figure.data for x in trace["x"]}
    own = set(part.time.astype("datetime64[s]").astype(str))
    assert shown <= own
    assert len(run.predictions()) > len(part)


def test_units_without_times_have_no_picture():
    predictions = market_predictions("bce_1")
    from trueness.predictions import Predictions
    from trueness.spec.estimands import Estimands

    without = Predictions(predictions.frame.drop("time", "regime"))
    rule = Estimands("binary", "auc", "oof", "", ("oof",), nouns=("day", "series"))
    assert alarm_sections(without, "oof", rule) == []
