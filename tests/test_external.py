"""Anybody's scores are judged like those of the store, and become runs of it."""

import datetime as dt
import json

import numpy as np
import polars as pl
import pytest
from scipy.special import expit

from tests.golden import equal, market_predictions, models, named, titles_predictions
from trueness.cli import main
from trueness.errors import DataError, TruenessError
from trueness.judge.external import check_name, judge_table, named_after, rule_of
from trueness.judge.leaderboard import leaderboard
from trueness.judge.tables import Columns, Reading, score_table
from trueness.spec.external import ExternalSpec, ExternalTask, Scores
from trueness.store import MemoryStore, Store
from trueness.store.ledger import Ledger

N = 400


def scores(seed=0, n=N, **more):
    """A rare event, a model that knows something of it, one that knows nothing, a baseline."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.2).astype(int)
    days = pl.date_range(dt.date(2022, 1, 3), dt.date(2022, 1, 3) + dt.timedelta(n - 1), eager=True)
    noise = rng.standard_normal((3, n))
    return pl.DataFrame({
        "date": days, "y": y, "good": expit(2 * y - 2 + noise[0]), "coin": expit(noise[1]),
        "vix": expit(0.5 * y - 1 + noise[2]),
    } | more)  # fmt: skip


def table(frame=None, **options):
    frame = scores() if frame is None else frame
    return score_table(frame, Columns("y", time="date"), Reading(**options))


def verb(capsys, *words):
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    out = capsys.readouterr()
    return ended.value.code or 0, out.out, out.err


# -------------------------------------------------------------- the same as what the store judges


def names_with_seeds(task):
    """Golden name -> name that says of which candidate it is a seed."""
    seeds = {}
    actual = {}
    for model in models()[task]["models"]:
        seeds.setdefault(model["candidate"], []).append(model["name"])
        actual[model["name"]] = f"{model['candidate']}@{len(seeds[model['candidate']])}"
    return {
        name: new if len(seeds[new.rpartition("@")[0]]) > 1 else name
        for name, new in actual.items()
    }


def without_origin(content):
    """The same without what the record of a training says: the part that chose the weights."""
    if isinstance(content, dict):
        return {k: without_origin(v) for k, v in content.items() if k != "chosen_on"}
    return [without_origin(v) for v in content] if isinstance(content, list) else content


def same_models(actual, wanted):
    """Rows of a leaderboard agree in all that predictions decide."""
    assert len(actual) == len(wanted)
    for one, other in zip(without_origin(actual), without_origin(wanted), strict=True):
        equal(one["estimates"], other["estimates"], one["name"])
        assert one["baseline"] == other["baseline"]
        for what in ("difference_to_best_baseline", "selection"):
            left, expected = (x[what] and dict(x[what]) for x in (one, other))
            for x in (left, expected):
                for name in ("baseline", "label"):
                    (x or {}).pop(name, None)
            equal(left, expected, f"{one['name']} {what}")


def test_exported_market_runs_are_judged_as_in_their_store(golden_market, tmp_path):
    left_out = ("constant", "linear32")  # refused; the same scores as linear16, so the same run
    ids = {name: key for key, name in named(golden_market).items() if name not in left_out}
    stored = leaderboard(golden_market, "golden", keys=set(ids.values())).to_dict()["groups"][0]
    new, frame = names_with_seeds("market"), None
    for name in ids:
        one = market_predictions(name).frame
        if frame is None:
            frame = one.select("split", "fold", "time", "y")
        frame = frame.with_columns(one["score"].alias(new[name]))
    frame.write_parquet(tmp_path / "wide.parquet")
    exported = score_table(
        tmp_path / "wide.parquet",
        Columns("y", time="time", fold="fold", split="split"),
        Reading(scale="logit", on="oof"),
    )
    baselines = [m["name"] for m in models()["market"]["models"] if m["baseline"]]
    board = judge_table(exported, baselines=baselines, rule=rule_of(horizon=5)).to_dict()
    (group,) = board["groups"]
    assert [m["name"] for m in group["models"]] == [
        new[named(golden_market)[m["key"]]] for m in stored["models"]
    ]
    same_models(group["models"], stored["models"])
    assert group["comparison_group"] == stored["comparison_group"]
    for what in ("n", "base_rate", "n_candidates", "power", "sorted_by", "confidence"):
        equal(*(without_origin(x[what]) for x in (group, stored)), what)
    for question in ("better_than_chance", "better_than_siblings", "better_than_best_baseline"):
        for field in ("answer", "p"):
            equal(group["verdict"][question][field], stored["verdict"][question][field], question)


def test_exported_titles_are_judged_as_in_their_store(golden_titles, tmp_path):
    stored = leaderboard(golden_titles, "golden-titles").to_dict()["groups"][0]
    new, classes, frame = names_with_seeds("titles"), models()["titles"]["classes"], None
    for name in new:
        one = titles_predictions(name).frame
        if frame is None:
            frame = one.select("split", "id", "group", "cluster", "y")
        logits = one["scores"].to_numpy()
        frame = frame.with_columns(
            pl.Series(f"{new[name]}: {c}", logits[:, k]) for k, c in enumerate(classes)
        )
    frame.write_parquet(tmp_path / "wide.parquet")
    exported = score_table(
        tmp_path / "wide.parquet",
        Columns("y", prefixes=tuple(f"{n}: " for n in new.values()), id="id", group="group",
                cluster="cluster", split="split"),
        Reading(scale="logit", on="validation"),
    )  # fmt: skip
    baselines = [m["name"] for m in models()["titles"]["models"] if m["baseline"]]
    actual = judge_table(exported, baselines=baselines, rank_by=stored["sorted_by"])
    (group,) = actual.to_dict()["groups"]
    assert group["comparison_group"] == stored["comparison_group"]
    assert [m["name"] for m in group["models"]] == [
        new[named(golden_titles, "golden-titles")[m["key"]]] for m in stored["models"]
    ]
    same_models(group["models"], stored["models"])
    for question in ("better_than_chance", "better_than_siblings", "better_than_best_baseline"):
        for field in ("answer", "p"):
            equal(group["verdict"][question][field], stored["verdict"][question][field], question)


@pytest.mark.long
def test_exports_of_a_trained_campaign_stand_beside_its_runs(campaign_folder, tmp_path):
    """Equal numbers, and the comparison group of the runs that were trained."""
    store = Store(campaign_folder / "store")
    group = leaderboard(store, "judged").groups[0]
    frame = None
    for model in group.models:
        one = model.run.predictions().part(group.part).frame
        frame = one.select("id", "time", "y") if frame is None else frame
        frame = frame.with_columns(one["score"].alias(model.key))
    exported = score_table(frame, Columns("y", id="id", time="time"), Reading(scale="logit"))
    flat = {m.key for m in group.baselines}
    actual = judge_table(
        exported, baselines=sorted(flat), rule=rule_of(horizon=group.rule.horizon)
    ).groups[0]
    assert {m.name for m in actual.models} == {m.key for m in group.models}
    for model in group.models:
        same = next(m for m in actual.models if m.name == model.key)
        assert same.run.record["comparison_group"] == model.run.record["comparison_group"]
        for name, e in model.estimates.items():
            equal(same.estimates[name].value, e.value, name)
            equal(same.estimates[name].low, e.low, name)
    assert actual.n == group.n


# ------------------------------------------------------------------------------------------- judging


def test_the_verdict_knows_what_is_better():
    (group,) = judge_table(table(), baselines=["vix"]).groups
    assert group.verdict.leader.startswith("good")
    assert group.verdict.better_than_chance.answer == "yes"
    assert group.verdict.better_than_siblings.answer == "yes"
    assert group.verdict.better_than_best_baseline.answer == "yes"
    assert [m.name for m in group.baselines] == ["vix"]
    assert group.n_candidates == 2


def test_scores_that_only_rank_have_no_probabilities():
    ranked = scores().with_columns((pl.col("good", "coin", "vix") * 100).round(3))
    (group,) = judge_table(table(ranked, scale="rank")).groups
    assert "calibration_error" not in group.models[0].estimates
    assert "precision@0.5" not in group.models[0].estimates
    assert group.models[0].estimates["auc"].value == pytest.approx(
        judge_table(table()).groups[0].models[0].estimates["auc"].value, abs=0.01
    )


def test_a_panel_keeps_the_rows_of_a_time_together():
    one = scores(n=200)
    panel = pl.concat([one.with_columns(ticker=pl.lit(t)) for t in "AB"])
    actual = score_table(panel, Columns("y", time="date", group="ticker"))
    (group,) = judge_table(actual).groups
    alone = judge_table(table(one)).groups[0]
    wide = [g.models[0].estimates["auc"].high - g.models[0].estimates["auc"].low
            for g in (group, alone)]  # fmt: skip
    assert wide[0] == pytest.approx(wide[1], rel=0.02)  # twice the rows say nothing more
    assert group.n == 400


def test_clusters_widen_the_interval():
    frame = scores(n=300).drop("date")
    same = pl.concat([frame.with_columns(who=pl.int_range(300)) for _ in range(3)])
    alone = judge_table(score_table(same.drop("who"), Columns("y"))).groups[0]
    kept = judge_table(score_table(same, Columns("y", cluster="who"))).groups[0]
    widths = [g.models[0].estimates["auc"].high - g.models[0].estimates["auc"].low
              for g in (alone, kept)]  # fmt: skip
    assert widths[1] > 1.4 * widths[0]


def test_rules_can_be_moved():
    rule = rule_of(alarms=[10], alarm_rate=2, confidence=0.9, block=5, horizon=9, min_rows=7)
    (group,) = judge_table(table(), rule=rule).groups
    assert {"precision@10", "precision@2%"} <= set(group.models[0].estimates)
    assert (group.rule.confidence, group.rule.block, group.rule.horizon) == (0.9, 9, 9)
    assert group.sort == "precision@10"
    by_auc = judge_table(table(), rank_by="auc").groups[0]
    assert by_auc.sort == "auc"


def test_equal_scores_under_two_names_are_one_model():
    (group,) = judge_table(table(scores().with_columns(copy="good"))).groups
    assert "copy = good" in {m.name for m in group.models} | {
        " = ".join(sorted(m.ids)) for m in group.models
    }
    assert group.n_candidates == 3


def test_seeds_of_a_model_are_one_candidate():
    renamed = scores().rename({"good": "net@1", "coin": "net@2"})
    assert judge_table(table(renamed)).groups[0].n_candidates == 2


@pytest.mark.parametrize(
    ("code", "options"),
    [
        ("unknown_baseline", {"baselines": ["vox"]}),
        ("evaluation", {"rule": rule_of(alarms=[0])}),
        ("evaluation", {"rule": rule_of(alarms=[])}),
        ("evaluation", {"rule": rule_of(confidence=1.5)}),
        ("evaluation", {"rule": rule_of(alarm_rate=0)}),
        ("evaluation", {"rule": rule_of(block=0)}),
        ("no_estimate", {"rank_by": "accuracy"}),
        ("name", {"name": "../up"}),
        ("name", {"name": ""}),
    ],
)
def test_options_that_are_refused(tmp_path, code, options):
    store = Store(tmp_path / "store")
    with pytest.raises(TruenessError) as error:
        judge_table(table(), store=store, **options)
    assert error.value.code == code
    assert not (tmp_path / "store").exists()


def test_constant_models_are_refused_unless_they_are_baselines():
    flat = scores().with_columns(prior=pl.lit(0.2))
    with pytest.raises(DataError) as error:
        judge_table(table(flat))
    assert error.value.code == "constant_scores"
    assert "prior" in str(error.value)
    (group,) = judge_table(table(flat), baselines=["prior", "vix"]).groups
    assert {m.name for m in group.baselines} == {"prior", "vix"}


def test_models_need_names():
    with pytest.raises(DataError) as error:
        judge_table(table(scores().rename({"good": "x" * 101})))
    assert error.value.code == "name"
    numbered = judge_table(table(scores().rename({"good": "7", "coin": "net@2"}))).groups[0]
    assert {m.name: m.run.spec.seed for m in numbered.models} == {"7": 0, "net@2": 2, "vix": 0}


def test_names_of_campaigns():
    assert named_after("scores (1)/x") == "scores -1--x"
    assert named_after("...") == "scores"
    check_name(named_after("Prüfung 2026"))


# ------------------------------------------------------------------------------------------- storing


def test_models_become_runs_and_are_found_by_name(tmp_path):
    store = Store(tmp_path / "store")
    board = judge_table(table(), baselines=["vix"], store=store, name="mine", source="mine.csv")
    assert store.campaigns()["mine"].keys() == {"good", "coin", "vix"}
    runs, problems = store.all_runs()
    assert len(runs) == 3
    assert not problems
    again = leaderboard(store, "mine").to_dict()["groups"][0]["models"]
    assert again == board.to_dict()["groups"][0]["models"]
    assert {run.spec.model.name for run in runs} == {"good", "coin", "vix"}
    in_memory = judge_table(table(), baselines=["vix"]).to_dict()["groups"][0]["models"]
    for one, other in zip(in_memory, again, strict=True):
        assert one["estimates"] == other["estimates"]
        assert one["findings"] == other["findings"]


def test_a_run_that_is_there_is_used_as_it_is(tmp_path):
    store = Store(tmp_path / "store")
    judge_table(table(), store=store)
    made = {run.key: run.record["created"] for run in store.all_runs()[0]}
    files = {key: (store.kept.runs / key / "record.json").stat().st_mtime_ns for key in made}
    judge_table(table(scores().select("date", "y", "good")), store=store, name="again")
    judge_table(table(), store=store)
    assert {k: (store.kept.runs / k / "record.json").stat().st_mtime_ns for k in files} == files
    assert store.campaigns()["again"].keys() == {"good"}


@pytest.mark.parametrize("where", ["folder", "memory"])
def test_the_other_role_replaces_the_run(tmp_path, where):
    store = Store(tmp_path / "store") if where == "folder" else MemoryStore()
    judge_table(table(), store=store)
    judge_table(table(), baselines=["vix"], store=store)
    runs = store.all_runs()[0]
    assert len(runs) == 3
    assert {run.spec.model.name for run in runs if run.spec.is_baseline} == {"vix"}
    (group,) = leaderboard(store).groups
    assert len(group.baselines) == 1


def test_other_rules_are_another_comparison_group(tmp_path):
    store = Store(tmp_path / "store")
    judge_table(table(), store=store)
    judge_table(table(), store=store, rule=rule_of(alarms=[10]))
    assert len(leaderboard(store).groups) == 2


def test_the_ledger_counts_the_evaluation(tmp_path):
    store = Store(tmp_path / "store")
    first = judge_table(table(), store=store).groups[0]
    assert first.access.times == 1
    assert judge_table(table(), store=store).groups[0].access.times == 1  # the same table again
    assert len(Ledger(store).accesses()) == 2
    other = table(scores().with_columns(pl.col("good") * 0.5))
    assert judge_table(other, store=store).groups[0].access.times == 2


def test_keys_follow_the_content_only():
    def spec(**change):
        values = {"kind": "scores", "name": "a", "digest": "d1"} | change
        return ExternalSpec(
            task=ExternalTask(kind="external", units="u"), model=Scores.model_validate(values)
        )

    assert spec().key == spec(name="b").key
    assert len({spec().key, spec(digest="d2").key, spec(scale="rank").key,
                spec(baseline=True).key}) == 4  # fmt: skip
    k = ExternalTask(kind="external", units="u", classes=("a", "b"))
    one = ExternalSpec(task=k, model=spec().model)
    other = one.model_copy(update={"evaluation": one.evaluation.model_copy(update={"block": 3})})
    assert one.key == other.key


def test_memory_keeps_what_was_judged():
    store = MemoryStore()
    judge_table(table(), store=store)
    assert store.run(next(iter(store.runs_by_key))[:6]).predictions().has("evaluation")
    with pytest.raises(TruenessError) as error:
        store.run("none")
    assert error.value.code == "no_run"


# ------------------------------------------------------------------------------------------- the verb


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scores(ticker=["A"] * N).write_parquet(tmp_path / "scores.parquet")
    return tmp_path


JUDGE = ("judge", "scores.parquet", "--y", "y", "--time", "date", "--group", "ticker")


def test_every_verb_works_on_judged_scores(here, capsys):
    status, out, _ = verb(capsys, *JUDGE, "--baseline", "vix")
    assert status == 0
    assert "good" in out
    assert (here / "store" / "campaigns" / "scores.json").exists()
    for words in (
        ("leaderboard",), ("leaderboard", "scores"), ("show", "good"), ("compare", "good", "coin"),
        ("thresholds", "good"), ("calibrate", "good"), ("top",),
    ):  # fmt: skip
        status, out, err = verb(capsys, *words)
        assert status == 0, (words, err)
        assert "good" in out, words
    status, out, _ = verb(capsys, "certify", "good", "--precision", "0.3", "--yes")
    assert status in (0, 1)


def test_json_is_that_of_the_leaderboard(here, capsys):
    _, out, _ = verb(capsys, *JUDGE, "--json")
    scored = json.loads(out)
    _, out, _ = verb(capsys, "leaderboard", "scores", "--json")
    stored = json.loads(out)
    for one in (scored, stored):
        for group in one["groups"]:
            group.pop("access")
    assert scored == stored


def test_files_of_a_judgement(here, capsys):
    files = {"--report": "a.html", "--markdown": "a.md", "--csv": "a.csv", "--latex": "a.tex"}
    status, _, _ = verb(capsys, *JUDGE, "--no-store", *[w for pair in files.items() for w in pair])
    assert status == 0
    assert all((here / name).stat().st_size > 500 for name in files.values())
    assert not (here / "store").exists()


def test_long_tables_and_classes(here, capsys):
    long = scores().unpivot(
        ["good", "coin"], index=["date", "y"], variable_name="m", value_name="p"
    )
    long.write_csv(here / "long.csv")
    status, out, _ = verb(capsys, "judge", "long.csv", "--y", "y", "--time", "date", "--model", "m",
                          "--score", "p", "--no-store")  # fmt: skip
    assert status == 0, out
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 300)
    p = rng.dirichlet(np.ones(3), 300) * 0.5 + 0.5 * np.eye(3)[y]
    q = rng.dirichlet(np.ones(3), 300)
    columns = {f"{m}_{c}": x[:, k] for m, x in (("a", p), ("b", q)) for k, c in enumerate("xyz")}
    pl.DataFrame({"y": y, "lang": ["en", "de"] * 150} | columns).write_parquet(here / "k.parquet")
    words = ("judge", "k.parquet", "--y", "y", "--scores-prefix", "a_", "--scores-prefix", "b_",
             "--group", "lang", "--baseline", "b")  # fmt: skip
    status, out, err = verb(capsys, *words)
    assert status == 0, err
    for more in (("show", "a"), ("compare", "a", "b"), ("leaderboard", "k")):
        status, out, err = verb(capsys, *more)
        assert status == 0, (more, err)


def test_other_parts_choose_thresholds_and_may_be_judged(here, capsys):
    split = ["train"] * 100 + ["validation"] * 150 + ["test"] * 150
    scores(ticker=["A"] * N, part=split).write_parquet(here / "scores.parquet")
    status, _, err = verb(capsys, *JUDGE, "--split", "part")
    assert status == 2
    assert "validation" in err
    assert verb(capsys, *JUDGE, "--split", "part", "--on", "test")[0] == 0
    status, out, _ = verb(capsys, "thresholds", "good", "--precision", "0.4", "--json")
    assert status == 0
    rules = {c["rule"] for run in json.loads(out)["runs"] for c in run["choices"]}
    assert "out-of-sample" in rules
    assert verb(capsys, "compare", "good", "coin", "--on", "validation")[0] == 0
    (run, *_), _ = Store(here / "store").all_runs()
    assert run.spec.estimands.judged_on == ("test", "validation")


BAD = {
    "unknown column": ((*JUDGE[:3], "label"), {}),
    "doubled column": ((*JUDGE, "--id", "date"), {}),
    "not binary": (JUDGE, {"y": [0, 1, 2, 3] * (N // 4)}),
    "NaN scores": (JUDGE, {"good": [float("nan"), 0.5] * (N // 2)}),
    "no probability": (JUDGE, {"good": [1.5, 0.5] * (N // 2)}),
    "not a time": ((*JUDGE[:4], "--time", "good"), {}),
    "one class": (JUDGE, {"y": [0] * N}),
    "constant scores": (JUDGE, {"good": [0.5] * N}),
    "duplicate units": ((*JUDGE[:4], "--id", "ticker"), {}),
    "text left over": ((*JUDGE[:4], "--time", "date"), {}),
    "unknown baseline": ((*JUDGE, "--baseline", "vox"), {}),
    "no models": ((*JUDGE, "--drop", "good", "--drop", "coin", "--drop", "vix"), {}),
    "unknown part": ((*JUDGE, "--on", "test"), {}),
    "bad name": ((*JUDGE, "--name", "a/b"), {}),
    "no such file": (("judge", "none.parquet", "--y", "y"), {}),
    "bad alarms": ((*JUDGE, "--alarms", "0"), {}),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_nothing_is_written(here, capsys, case):
    words, change = BAD[case]
    frame = pl.read_parquet("scores.parquet")
    frame.with_columns(**{n: pl.Series(v) for n, v in change.items()}).write_parquet(
        "scores.parquet"
    )
    status, out, err = verb(capsys, *words)
    assert status == 2
    assert out == ""
    assert err.count("\n") == 1
    assert sorted(p.name for p in here.iterdir()) == ["scores.parquet"]


def test_different_units_per_model(here, capsys):
    rows = scores().unpivot(
        ["good", "coin"], index=["date", "y"], variable_name="m", value_name="p"
    )
    rows[:-5].write_csv(here / "long.csv")
    words = ("judge", "long.csv", "--y", "y", "--time", "date", "--model", "m", "--score", "p")
    status, _, err = verb(capsys, *words)
    assert (status, err.count("\n")) == (2, 1)
    status, _, err = verb(capsys, *words, "--pair-common")
    assert status == 0
    assert "5 units" in err


@pytest.mark.parametrize("rule", [{"alarms": N + 1}, {"alarms": (5, 10**9)}, {"block": N + 1}])
def test_more_alarms_or_longer_blocks_than_there_are_units_are_refused(rule, tmp_path):
    store = Store(tmp_path / "store")
    with pytest.raises(DataError) as error:
        judge_table(table(), baselines=["vix"], rule=rule_of(**rule), store=store)
    assert error.value.code == "evaluation"
    assert not store.root.exists()
    judge_table(table(), baselines=["vix"], rule=rule_of(alarms=N, block=N), store=store)
