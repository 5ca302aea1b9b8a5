"""The decision page and the ledger behind it: sections, numbers, looks, what the days resolve."""

import html as escapes
import json
import re
import shutil

import numpy as np
import polars as pl
import pytest

from tests.test_cli import call
from tests.test_deciding import MISSION, WALK, _store_run
from trueness.evaluation import Estimate, resampled_precisions
from trueness.store.ledger import Ledger
from trueness.report import leaderboard, write_page
from trueness.judge.comparison import measured
from trueness.judge.figures import alarm_curve
from trueness.judge.slices import slices
from trueness.judge.words import baseline_text, points_text, share_text, verdict
from trueness.spec import Spec
from trueness.store import Store

SECTIONS = (
    "What these days can resolve", "The leaderboard, corrected for the choice", "Tied with the leader",
    "The ladder", "Precision and recall over the alarm rate", "Calibration of", "Year by year, regime by regime",
    "The ledger of looks", "Run by run",
)  # fmt: skip


@pytest.fixture(scope="module")
def once(judged, tmp_path_factory):
    """A copy of the store of many runs, its arena, and the text of its page."""
    folder = tmp_path_factory.mktemp("page")
    shutil.copytree(judged / "store", folder / "store")
    (folder / "store" / "ledger.jsonl").unlink(missing_ok=True)
    board = leaderboard(Store(folder / "store"), "judged", look=("leaderboard", ""))
    write_page(board, folder / "page.html", "judged")
    return folder, board.arenas[0], _text(folder / "page.html")


def _text(path):
    """A page without scripts and tags."""
    body = re.sub(r"<script.*?</script>", "", path.read_text(), flags=re.DOTALL)
    return re.sub(r"\s+", " ", escapes.unescape(re.sub(r"<[^>]+>", " ", body)))


def _page(store, tmp_path, **options):
    board = leaderboard(store, **options)
    write_page(board, tmp_path / "page.html")
    return board, _text(tmp_path / "page.html")


def test_every_section_is_there_and_in_order(once):
    _, arena, text = once
    places = [text.index(name) for name in SECTIONS]
    assert places == sorted(places)
    assert text.index(verdict(arena)) < places[0]
    assert "looked at once since" in text
    assert "fitted on other days (five blocks)" in text
    assert re.search(r"if all 13 candidates have a true precision of", text)


def test_numbers_of_the_page_are_those_of_the_predictions(once):
    _, arena, text = once
    leader = arena.networks[0].run
    rows = leader.predictions().filter(pl.col("split") == "validation").sort("when")
    assert rows["logit"].n_unique() == len(rows)
    best = rows.sort("logit", descending=True).head(30)
    hits = int(best["y"].sum())
    assert f"{hits}/30" in share_text(arena.networks[0].estimates["precision@30"])
    found = slices(leader)
    for what, parts in (("year", found.years), ("group", found.regimes)):
        column = pl.col("when").dt.year().cast(pl.String) if what == "year" else pl.col("group")
        for one in parts:
            every, alarms = (
                t if one.name == "all days" else t.filter(column == one.name) for t in (rows, best)
            )
            assert (one.days, one.base.k) == (len(every), every["y"].sum())
            assert (one.alarms.k, one.alarms.n) == (alarms["y"].sum(), len(alarms))
            cells = f"{one.name} {one.days} {share_text(one.base)} {share_text(one.alarms)}"
            assert cells in text
    assert sum(one.alarms.n for one in found.years[:-1]) == found.years[-1].alarms.n == 30


def test_tied_candidates_are_named_once(once):
    _, arena, text = once
    start = text.index("cannot be told from")
    told = text[start : text.index("The ladder")]
    count = int(re.search(r"cannot be told from (\d+) of 12", told).group(1))
    assert count == arena.nulls.precision_tied
    names = re.findall(r"(?:LF|FE)-\d+(?:@43)? \d+/30", told)
    assert len(names) == len(set(names)) == 12


def test_the_difference_to_the_best_baseline_is_in_points_too(once):
    _, arena, _ = once
    own = [r.run for r in arena.networks if r.ids[0].split("@")[0] == arena.networks[0].ids[0]]
    runs = [*own, arena.reference]
    values = [
        one.value
        for one in resampled_precisions(
            measured(own[0])[0], [measured(r)[1] for r in runs], alarms=30, block=20
        )
    ]
    found = arena.nulls.baseline_precision.simultaneous
    assert len(own) == 2
    assert found.value == pytest.approx(np.mean(values[:2]) - values[2])
    assert f"best baseline ({baseline_text(arena.reference)})" in verdict(arena)
    assert f"precision at top 30 {points_text(found)}; " in verdict(arena)
    assert arena.to_dict()["leader"]["baseline_precision"]["simultaneous"]["low"] <= found.value


def test_words():
    assert points_text(Estimate(-0.003, -0.06, 0.05, 30)) == "-0.3 points [-6, +5]"
    assert points_text(Estimate(0.1, None, None, 30)) == "+10.0 points"
    assert points_text(Estimate(None, None, None, 0)) == "undefined"


def test_curves_hold_the_exact_band(once):
    _, arena, _ = once
    run = arena.networks[0].run
    for what in ("precision", "recall"):
        figure = alarm_curve([("leader", run)], what)
        band, line = figure.data[0], figure.data[1]
        n = len(line.x)
        at = int(np.argmin(np.abs(np.array(line.x) - 100 * 30 / 241)))
        one = arena.networks[0].estimates[f"{what}_top30"]
        assert line.y[at] == pytest.approx(one.value)
        assert (band.y[at], band.y[2 * n - 1 - at]) == pytest.approx((one.high, one.low))


def _made(tmp_path, examples, models, protocol):
    store = Store(tmp_path / "store")
    store.prepare()
    start = {"start": "2001-06-01"} if protocol == "walk_forward" else {}
    common = {
        "task": {"kind": "market", "bars": "0123456789ab"},
        "evaluation": {"protocol": protocol, **start},
    }
    for i, model in enumerate(models):
        spec = Spec.model_validate({**common, "seed": 1 + i} | ({"model": model} if model else {}))
        _store_run(store, spec, examples, 0.5 + i)
    return store


@pytest.mark.parametrize("models", [[None], [None, "forest"], ["forest"], ["base_rate", None]])
@pytest.mark.parametrize("protocol", ["mission", "walk_forward"])
def test_few_runs_of_either_protocol(tmp_path, monkeypatch, models, protocol):
    monkeypatch.setattr("trueness.report.page.get_plotlyjs", str)
    examples = {"mission": MISSION, "walk_forward": WALK}[protocol]
    board, text = _page(_made(tmp_path, examples, models, protocol), tmp_path)
    (arena,) = board.arenas
    assert "Calibration of" in text
    assert ("dashed" in text) == (None in models and len(models) > 1)
    assert ("has no siblings" in text) == (None in models)
    assert arena.looks.times == 0
    assert "never looked at before" in text
    assert f"the {'50' if protocol == 'walk_forward' else '30'} days of" in text


def test_an_unreadable_leader_leaves_a_page(once, tmp_path, monkeypatch):
    monkeypatch.setattr("trueness.report.page.get_plotlyjs", str)
    folder, arena, _ = once
    shutil.copytree(folder / "store", tmp_path / "store")
    path = tmp_path / "store" / "runs" / arena.networks[0].run.key / "predictions.parquet"
    path.write_bytes(path.read_bytes()[::-1])
    _, text = _page(Store(tmp_path / "store"), tmp_path, campaign="judged")
    assert "No curves of the leader" in text


# --------------------------------------------------------------------------------------------- looks


def test_every_verb_counts_its_look_once(once, judged, tmp_path, capsys):
    folder, arena, _ = once
    root = tmp_path / "store"
    shutil.copytree(folder / "store", root)
    (root / "ledger.jsonl").unlink()
    shown, key = Ledger(Store(root)), arena.networks[0].run.key
    verbs = [
        ("leaderboard", "judged", "--json"), ("leaderboard", "--by", "loss"), ("show", key),
        ("calibrate", key, "--method", "platt"), ("top", "-n", 1), ("thresholds", key),
        ("tracker", judged / "judged.yaml", "--seeds", 2), ("certify", key, "--precision", 0.6),
        ("run", judged / "judged.yaml", "--seeds", 2, "--workers", 0),
    ]  # fmt: skip
    for i, words in enumerate(verbs):
        code, out, _ = call(capsys, *words, "--store", root)
        assert code in (0, 1), words
        assert [(look.verb, look.what) for look in shown.looks()[i:]] == [(words[0], "validation")]
    assert set(shown.looks()[0].keys) >= {row.run.key for row in arena.rows}
    code, out, _ = call(capsys, "leaderboard", "judged", "--store", root)
    assert f"looked at {len(verbs) + 1} times since" in out
    assert out.count("13 candidates") >= 2
    _, out, _ = call(capsys, "leaderboard", "judged", "--json", "--store", root)
    (looks,) = json.loads(out)["looks"]
    assert (looks["times"], looks["candidates"], looks["part"]) == (11, 13, "validation")
    assert (looks["test_opened"], looks["unwritten"]) == (0, "")


def test_who_may_only_read_may_look(once, tmp_path, capsys):
    folder, arena, _ = once
    root = tmp_path / "store"
    shutil.copytree(folder / "store", root)
    (root / "ledger.jsonl").unlink()
    (root / "ledger.jsonl").mkdir()
    key = arena.networks[0].run.key
    for words in (("leaderboard", "judged"), ("show", key)):
        code, out, _ = call(capsys, *words, "--store", root)
        assert code == 0
        assert "this look is not written down" in out
    code, out, _ = call(capsys, "leaderboard", "--report", tmp_path / "r.html", "--store", root)
    assert code == 0
    assert "not written down" in _text(tmp_path / "r.html")
    code, _, err = call(capsys, "calibrate", key, "--method", "platt", "--store", root)
    assert (code, "cannot be written down" in err) == (0, True)


def test_an_empty_store_has_no_looks(tmp_path, capsys):
    code, _, _ = call(capsys, "leaderboard", "--store", tmp_path / "none")
    assert code == 0
    assert not (tmp_path / "none").exists()


# --------------------------------------------------------------------------------------------- before


def test_what_the_days_resolve_is_told_before_training(tiny, tmp_path, capsys):
    code, out, err = call(capsys, "run", tiny, "--store", tmp_path / "s", "--dry-run", "--json")
    content = json.loads(out)
    (found,) = content["resolves"]
    fold = next(row for row in content["experiments"] if row["id"] == "T-01")["folds"][0]
    assert code == 0
    assert (found["part"], found["candidates"], found["alarms"]) == ("validation", 2, 30)
    assert found["positives"] == fold["validation"]["positives"]
    assert found["samples"] == fold["validation"]["n"]
    assert err.splitlines() == found["lines"]
    assert re.match(
        rf"what {found['samples']} validation days with {found['positives']} positives can resolve: "
        r"an AUC of 0.7 to ±0\.\d+; two AUCs from a difference of 0\.\d+ on, 0\.\d+ among 2 ",
        found["lines"][0],
    )
    assert "luck alone brings the best of them to" in found["lines"][1]
    code, _, err = call(
        capsys, "run", tiny, "--store", tmp_path / "s", "--json", "--workers", 0, "--id", "T-01"
    )
    assert code == 0
    assert err.index("for one candidate; luck alone brings it to") < err.index("AUC 0.")
