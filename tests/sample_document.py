"""A document with every part, kind, style and tone, for the tests of renderers."""

import math

from trueness.document import (
    Column,
    Document,
    Figure,
    HConcat,
    Items,
    Link,
    Section,
    Sentence,
    Shaded,
    Table,
)
from trueness.evaluation import Estimate

HOSTILE = (
    "<script>alert('x')</script> \x1b[31m| *b* _i_ [a](b) $x$ {\\cmd} 50% #1 & `c|d` \u202egnp\nend"
)


def leaderboard_table() -> Table:
    columns = [
        Column("id", "code", 9, help="Experiment of the campaign."),
        Column("model", "text", 6),
        Column("weights", "short", 2),
        Column("precision@30", "share", 8, help="Hits among the 30 highest scores."),
        Column("shrunk", "share_only", 5),
        Column("adjusted\nlower bound", "bound", 5),
        Column("precision\n@0.5", "share", 4),
        Column("AUC", "estimate", 7),
        Column("AUC − best\nbaseline", "difference", 6),
        Column("difference,\npoints", "points", 3),
        Column("p", "p", 3),
        Column("learning\nrate", "number", 2, digits=4),
        Column("alarms", "count", 1),
        Column("base rate", "percent", 1),
        Column("trained", "date", 1),
        Column("checks", "link", 4),
    ]
    rows = []
    for i in range(9):
        auc = Estimate(0.7104 - 0.011 * i, 0.68 - 0.011 * i, 0.7382 - 0.011 * i, 422)
        rows.append([
            f"D-0{i + 1}", f"a50 · PatchTST d{32 * (i + 1)}×2, emb 16", 46351 * (i + 1),
            Estimate.proportion(13 - i, 30), Estimate(0.21, 0.2, 0.23, 30),
            Estimate(0.3, 0.21 - 0.01 * i, 1.0, 30), Estimate.proportion(i, 4 * i + 1), auc,
            Estimate(-0.0131 - 0.01 * i, -0.08, 0.04, 422), Estimate(0.031, -0.012, 0.074, 422),
            0.0341 / (i + 1) ** 4, 0.001 / (i + 1), 1306 * i, 0.212, "2026-11-28",
            [Link("TRU001", hint="Collapsed scores"), Link("TRU008", "#TRU008", "Base rates drift"),
             Link("(TRU016 muted)")][: i % 4],
        ])  # fmt: skip
    rows.append([
        "B-01", "logistic regression", None, Estimate.proportion(9, 30), None, "infeasible",
        Estimate(None, None, None, 0, 0), Estimate(0.69, 0.66, 0.72, 422), None, None, math.nan,
        None, 0, None, None, [],
    ])  # fmt: skip
    styles = ["leader", *[""] * 6, "muted", "warning", "baseline"]
    return Table(columns, rows, "Leaderboard", "95 % CI; exact for proportions.", styles)


def confusion_table() -> Table:
    names = ["business", "health", "politics", "science", "sports"]
    columns = [Column("true class", "text", 9)]
    columns += [Column(name, "percent", 5, shade="share") for name in names]
    rows = [
        [f"{name} ({1000 - 150 * i:,})", *(0.82 - 0.1 * i if i == j else 0.04 * (i + j) for j in range(5))]
        for i, name in enumerate(names)
    ]  # fmt: skip
    return Table(columns, rows, "Predictions in percent of each class")


def signed_table() -> Table:
    columns = [Column("method", "code", 9)]
    columns += [
        Column(g, "count", 5, shade="signed", limits=(-0.06, 0.06)) for g in ("de", "en", "fr")
    ]
    rows = [
        ["focal", Shaded("+3.1 ▲", 0.031), Shaded("−0.4", -0.004), Shaded("invalid")],
        ["weighted", Shaded("−5.9 ▼", -0.059), Shaded("+1.2", 0.012), Shaded("+6.0 ▲", 0.06)],
    ]
    return Table(columns, rows, "Macro-F1 against the reference, points")


def figures() -> list[Figure]:
    rate = [0.5 * 1.2**k for k in range(30)]
    precision = [0.2 + 0.5 / (1 + 0.2 * x) for x in rate]
    band = [*[y + 0.08 for y in precision], *[y - 0.08 for y in precision[::-1]]]
    curve = Figure(
        [
            {"x": [*rate, *rate[::-1]], "y": band, "fill": "toself", "mode": "lines",
             "line": {"width": 0}, "fillcolor": "series-0/0.15", "hoverinfo": "skip",
             "showlegend": False},
            {"x": rate, "y": precision, "name": "D-01 · a50 · PatchTST d32×2", "mode": "lines",
             "line": {"color": "series-0"}},
            {"x": rate, "y": [0.9 * y for y in precision], "name": "logistic regression",
             "mode": "lines", "line": {"color": "grey", "dash": "dash"}},
        ],
        {"xaxis": {"title": "days with an alarm, %", "type": "log"},
         "yaxis": {"title": "precision", "range": [0, 1]}},
        "Precision over the alarm rate, with its 95 % band; the best baseline is dashed.",
    )  # fmt: skip
    epochs = Figure(
        [{"x": [1, 2, 3], "y": [0.5, 0.44, math.nan], "mode": "lines+markers", "name": "validation"}],
        {"xaxis": {"title": "epoch", "integer": True}, "yaxis": {"title": "loss"}},
        "Loss in validation.",
    )  # fmt: skip
    forest = Figure(
        [{"x": [0.71, 0.70, 0.69], "y": ["D-01", "D-02", "B-01"], "mode": "markers",
          "marker": {"color": ["series-0", "series-0", "grey"], "size": 9},
          "error_x": {"array": [0.03] * 3, "arrayminus": [0.04] * 3, "thickness": 1.4}}],
        {"height": 180, "xaxis": {"title": "AUC"}, "shapes": [
            {"type": "line", "x0": 0.65, "x1": 0.65, "y0": 0, "y1": 1, "yref": "paper",
             "line": {"color": "ink", "dash": "dot", "width": 1}}]},
        "AUC with 95 % CI, baselines in grey.", width=600,
    )  # fmt: skip
    bars = Figure(
        [{"type": "bar", "x": [0.1, 0.3, 0.5], "y": [0.6, 0.3, 0.1], "name": "negative",
          "marker": {"color": "negative"}, "opacity": 0.6},
         {"type": "bar", "x": [0.1, 0.3, 0.5], "y": [0.2, 0.3, 0.5], "name": "positive",
          "marker": {"color": "positive"}, "opacity": 0.6}],
        {"barmode": "overlay", "xaxis": {"title": "score"}, "yaxis": {"title": "share"}},
        "Scores by class.",
    )  # fmt: skip
    blank = Figure([{"x": [None, 1], "y": [2.0, math.nan]}], caption="Nothing is known here.")
    return [curve, epochs, forest, bars, blank]


def document(hostile: str = HOSTILE) -> Document:
    curve, epochs, forest, bars, blank = figures()
    years = Table(
        [Column("year"), Column("days", "count"), Column("precision@30", "share_only")],
        [[str(2000 + k), 250 + k, Estimate.proportion(k % 7, 9)] for k in range(6)],
        "By year", shown=3,
    )  # fmt: skip
    regimes = Table([Column("regime"), Column("days", "count")], [["calm", 1999], ["all", 3019]],
                    "By regime", styles=["", "total"])  # fmt: skip
    return Document(
        "Leaderboard · campaign demo",
        [
            Sentence(
                "No model is better than the best baseline: AUC of D-01 0.710 (0.680–0.738), of "
                "logistic regression 0.690 (0.660–0.720); difference −0.013 (−0.080 to +0.040), "
                "p = 0.21, precision@30 43 % (25–63) · 13/30 on 3,019 out-of-fold days.", "verdict",
            ),
            Sentence("Evaluated 3 times since 2026-11-01; 6 models tested on this sample.", "note"),
            Sentence("The test part was opened. Run `trueness list --open-test` to see when.", "warning"),
            Sentence("2 runs could not be read.", "error"),
            Section("Ranking", [leaderboard_table(), Sentence("Sorted by the lower 95 % bound of precision@30.")]),
            Section("Power", [Items([
                "Minimum detectable AUC difference 0.033 (6 models: 0.041), from the days of the "
                "out-of-fold part with blocks of 20 days resampled together.",
                "By chance alone, the best of 6 models reaches 9/30 half the time.",
            ])]),
            Section("Curves", [forest, HConcat([curve, bars]), HConcat([epochs, blank])]),
            Section("Slices", [HConcat([years, regimes])], anchor="slices"),
            Section("Confusions", [confusion_table(), signed_table()]),
            Section("Checks", [
                Section("TRU008 Base rates drift", [Sentence("Positives were 12 % before 2010, 31 % after.")], "TRU008"),
                Section("Hostile " + hostile, [
                    Sentence(hostile), Items([hostile]),
                    Table([Column(hostile), Column("n", "count")], [[hostile, 3], [hostile * 2, 4]], hostile, hostile),
                ]),
            ]),
            Section("Run by run", [
                Section("D-01", [Sentence("Details of D-01."), epochs], "run-D-01", folded=True),
                Section("D-02", [Sentence("Details of D-02.")], folded=True),
            ]),
        ],
        "S&P 500 to 2026-11-27 · 3,019 days · base rate 21 % (20–23) · 641/3,019 · `f3a91c`",
    )  # fmt: skip
