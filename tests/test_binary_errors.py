"""False alarms and missed positives of runs with a binary label."""

import json
import shutil

import numpy as np
import polars as pl
import pytest

from tests.golden import named
from tests.test_cli import call
from trueness.bundle.alarms import alarms
from trueness.errors import TruenessError
from trueness.judge.comparison import measured_part
from trueness.judge.errors import Asked
from trueness.labels.errors import How, errors


def keys(store):
    """Of the networks that raise an alarm; another one has tied scores."""
    return [key for key, name in named(store).items()
            if name != "constant" and not store.run(key).spec.is_baseline]  # fmt: skip


def test_tied_scores_are_refused(golden_market):
    (key,) = (key for key, name in named(golden_market).items() if name == "constant")
    with pytest.raises(TruenessError) as error:
        errors(golden_market, key, {})
    assert error.value.code == "no_alarms"


def test_false_alarms_and_misses_are_all_that_is_wrong(golden_market):
    assert len(keys(golden_market)) > 1
    for key in keys(golden_market):
        actual = errors(golden_market, key, {})
        part, raised = measured_part(golden_market.run(key)), alarms(golden_market, key).to_frame()
        frame = actual.frame
        wrong, missed = (frame.filter(pl.col("error") == one) for one in ("false alarm", "missed"))
        assert set(wrong["id"]) == set(raised.filter(pl.col("outcome") == "miss")["id"])
        hits = set(raised.filter(pl.col("outcome") == "hit")["id"])
        assert set(missed["id"]) == set(part.id[part.y == 1]) - hits
        assert wrong["score"].is_sorted(descending=True)
        assert missed["score"].is_sorted()
        assert actual.precision.value == pytest.approx(len(hits) / len(raised))
        assert actual.recall.value == pytest.approx(len(hits) / (part.y == 1).sum())
        assert np.isin(frame["id"].to_numpy(), part.id).all()
        assert actual.document().sentences()[0].startswith(str(len(wrong)))


def test_what_is_about_texts_is_refused(golden_market):
    key = keys(golden_market)[0]
    for how in (How(Asked(language="de")), How(Asked(either="x")), How(opened=True),
                How(refit=True)):  # fmt: skip
        with pytest.raises(TruenessError) as error:
            errors(golden_market, key, {}, how)
        assert error.value.code == "no_option"


def test_the_verb_lists_them_and_the_ledger_knows(golden_market, tmp_path, capsys):
    key, store = keys(golden_market)[0], tmp_path / "store"
    shutil.copytree(golden_market.root, store)
    code, out, err = call(capsys, "errors", key, "--store", store, "--json")
    assert code == 0, err
    answer = json.loads(out)
    assert answer["kind"] == "binary_errors"
    assert {one["error"] for one in answer["errors"]} <= {"false alarm", "missed"}
    last = json.loads((store / "ledger.jsonl").read_text().splitlines()[-1])
    assert (last["verb"], last["keys"]) == ("errors", [key])
