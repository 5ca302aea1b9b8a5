"""Verbs about bars and features: check, list, build, audit, reduce."""

import dataclasses
import json

import numpy as np
import polars as pl
import pytest
import yaml

from tests.test_cli import call
from trueness.evaluation import Estimate
from trueness.judge.facts import Facts
from trueness.judge.features import FeatureAudit
from trueness.judge.reduction import Reduction, Round
from trueness.market import feature_table, load_bars
from trueness.market.indicators import CATALOGUE
from trueness.market.quality import Audit, Column
from trueness.report import to_html, to_markdown


@pytest.fixture
def looking_ahead(monkeypatch):
    wrong = dataclasses.replace(CATALOGUE["sma_12"], compute=lambda f: np.roll(f.close, -5))
    monkeypatch.setattr("trueness.market.indicators.CATALOGUE", {**CATALOGUE, "sma_12": wrong})


def test_audit_exits_1_when_a_feature_looks_ahead(capsys, looking_ahead):
    code, out, _ = call(capsys, "features", "audit", "--tier", "a20", "--json")
    content = json.loads(out)
    assert (code, content["schema"], content["kind"]) == (1, 1, "feature_audit")
    assert content["found"]["look-ahead"] == ["sma_12"]


def test_an_audit_is_written_in_every_form(capsys, tmp_path):
    files = {name: tmp_path / f"a.{end}" for name, end in
             (("markdown", "md"), ("report", "html"), ("csv", "csv"), ("latex", "tex"))}  # fmt: skip
    options = [word for name, path in files.items() for word in (f"--{name}", path)]
    code, out, _ = call(capsys, "features", "audit", "--tier", "a20", *options)
    assert code == 0
    assert "No feature looks ahead." in out
    assert "of 20 features are associated with the label (FDR 5 %)." in out
    assert pl.read_csv(files["csv"]).height == 20
    page = files["markdown"].read_text()
    assert "All features" in page  # folded on a page, left out by a terminal
    assert "most frequent" not in out
    assert page.count("| atr_14 ") == 2
    assert "univariate AUC" in " ".join(page.split())


def _audited(**changes):
    columns = [Column("calm", auc=0.6, auc_q=0.01, mi=0.1, mi_q=0.2, drift=0.1),
               Column("dull", auc=0.5, auc_q=0.9, mi=0.0, mi_q=0.9, drift=0.2)]  # fmt: skip
    for name, value in changes.items():
        setattr(columns[1], name, value)
    return FeatureAudit(Audit("a2", "bars", columns, [10, 20], 100, 50, ("a note.",)))


def test_what_an_audit_found_is_named_feature_by_feature():
    actual = _audited(copy_of="calm", missing=3, longest_gap=2, tail=30.0, drift=0.6,
                     warmup=9, warmup_declared=5, top_share=0.995)  # fmt: skip
    groups = {what: names for what, names in actual.groups().items() if names}
    assert groups == {
        "first value later than declared": ["dull"], "exact copies": ["dull = calm"],
        "near constants": ["dull"], "scattered gaps": ["dull 3 rows, longest 2"],
        "heavy tails": ["dull 30 SD"], "drift between training and validation": ["dull 0.60"],
    }  # fmt: skip
    document = actual.document()
    assert document.sentences()[0] == (
        "No feature looks ahead. 1 of 2 features are associated with the label (FDR 5 %)."
    )
    findings, associated, every = document.tables()
    assert [row[1] for row in findings.rows] == [len(n) for n in actual.groups().values()]
    assert [row[0] for row in associated.rows] == ["calm"]
    assert [row[-1] for row in every.rows] == [None, "calm"]
    assert len(document.figures()) == 3
    assert to_html(document)


def test_a_feature_without_values_can_be_shown():
    actual = _audited(auc=float("nan"), auc_q=float("nan"), mi_q=float("nan"), look_ahead_rows=4)
    assert actual.document().sentences()[0].startswith("1 feature looks ahead: dull (4 rows).")
    assert actual.document().tables()[0].style(0) == "warning"
    assert "| dull" in to_markdown(actual.document())


# ------------------------------------------------------------------------------------ other verbs


def test_features_are_listed_and_built_in_the_order_of_the_catalogue(capsys, tmp_path):
    code, out, _ = call(capsys, "features", "--tier", "a20", "--json")
    names = [row["name"] for row in json.loads(out)["rows"]]
    expected = feature_table(load_bars("sp500"), "a20")
    assert (code, tuple(names)) == (0, expected.names)
    code, out, _ = call(
        capsys, "features", "build", "--tier", "a20", "--out", tmp_path / "f.parquet"
    )
    table, bars = pl.read_parquet(tmp_path / "f.parquet"), load_bars("sp500")
    assert code == 0
    assert "slowest column" in out
    assert tuple(table.columns) == ("Date", *expected.names)
    assert table["Date"].to_numpy().astype("datetime64[D]").tolist() == bars.dates.tolist()
    np.testing.assert_array_equal(table.drop("Date").to_numpy(), expected.values)


def test_checked_bars_are_facts_with_sections(capsys):
    arguments = ("data", "check", "sp500", "--calendar", "XNYS")
    code, out, _ = call(capsys, *arguments)
    assert code == 0
    assert "Sessions" in out
    code, out, _ = call(capsys, *arguments, "--json")
    content = json.loads(out)
    assert (content["kind"], content["rows"], content["sessions"]["missing"]) == (
        "facts", len(load_bars("sp500")), 0)  # fmt: skip


def test_warnings_come_before_facts():
    document = Facts(
        "Bars", {"rows": 1200, "warnings": ["a hole"], "index": {"days": []}}
    ).document()
    assert document.parts[0].tone == "warning"
    assert document.parts[0].text == "A hole."
    assert [table.rows for table in document.tables()] == [
        [("rows", "1,200")], [("days", "none")]]  # fmt: skip


def test_reduce_writes_a_tier_and_tells_every_round(capsys, tmp_path):
    code, out, err = call(
        capsys, "features", "reduce", "--out", tmp_path / "r.yaml", "--tier", "a20", "--data",
        "synthetic", "--epochs", 1, "--rounds", 1, "--seeds", 1, "--workers", 0,
    )  # fmt: skip
    assert code == 0
    assert "of 20 features left" in out
    assert err.startswith("20 features: precision ")
    assert yaml.safe_load((tmp_path / "r.yaml").read_text())["tier"] == "r"


def test_a_reduction_shows_its_rounds_and_its_final_check():
    rounds = [Round(5, [], 0.5, 0.2, 0.7, 0.4, "start"),
              Round(4, ["b"], 0.4, 0.2, 0.69, 0.4, "abort")]  # fmt: skip
    auc = Estimate(0.7, 0.65, 0.75, 300)
    actual = Reduction("a5", list("acdef"), rounds, [["a", "c"]], {}, auc, auc, ["note"], "r.yaml")
    document = actual.document()
    (table,) = document.tables()
    assert table.rows[1] == (4, 1, 0.4, 0.2, 0.69, 0.4, "abort")
    assert "0.700 (0.650–0.750) before, 0.700 (0.650–0.750) after, 300 days" in (
        document.sentences()[0])  # fmt: skip
    assert actual.to_frame()["dropped"].to_list() == ["", "b"]
    assert actual.to_dict()["before"]["n"] == 300
    assert "`task.tier: r.yaml`" in to_markdown(document)
