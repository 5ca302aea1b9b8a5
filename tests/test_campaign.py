import csv
import json
import time
from pathlib import Path

import pytest

from tests.conftest import BASELINES
from trueness.campaign import campaign_file, load_campaign
from trueness.errors import CampaignError, DataError
from trueness.spec.evaluation import WalkForward
from trueness.spec.loss import Bce
from trueness.spec.model import PatchTST
from trueness.spec.recipe import Recipe, named_recipe

HEAD = "campaign: c\ndata: sp500\n"


@pytest.fixture
def write(tmp_path):
    def make(text):
        path = tmp_path / "c.yaml"
        path.write_text(text)
        return path

    return make


def _one(write, text):
    return load_campaign(write(HEAD + text)).experiments[0].spec


def test_fewer_features_is_the_published_group(spy, vix):
    """FE-65 to FE-70: tiers, widths and parameter counts of the research notes (theirs without RevIN's 2 F)."""
    from trueness.models import parameter_count

    campaign = load_campaign("fewer-features", data=spy.name, vix=vix.name)
    actual = {}
    for entry in campaign.experiments:
        spec = entry.spec
        features = {"a20": 20, "a50": 50}[spec.task.tier]
        width = getattr(spec.model.embedding, "width", None)
        actual[entry.id] = (
            spec.task.tier,
            width,
            parameter_count(spec.model, features, 80) - 2 * features,
        )
        assert entry.priority == "P10"
        assert spec.recipe == Recipe()
        assert spec.evaluation.protocol == "holdout"
        assert spec.model.model_copy(
            update={"embedding": PatchTST(kind="patchtst").embedding}
        ) == PatchTST(kind="patchtst")
    assert actual == {
        "FE-65": ("a50", None, 899457), "FE-66": ("a50", 16, 830673), "FE-67": ("a50", 32, 864289),
        "FE-68": ("a20", None, 838017), "FE-69": ("a20", 16, 830193), "FE-70": ("a20", 32, 863329),
    }  # fmt: skip


def test_baselines_come_first_once_per_task():
    campaign = load_campaign("demo")
    ids = [entry.id for entry in campaign.entries]
    assert BASELINES[:3] == ("base_rate", "one_feature", "logit")  # the simplest first
    assert ids == [
        *(f"{tier}/{kind}" for tier in ("a20", "a50") for kind in BASELINES),
        "D-01", "D-02", "D-03", "D-04",
    ]  # fmt: skip


def test_layers_win_in_order(write):
    spec = _one(write, """
defaults: {recipe: {epochs: 1, patience: 1, batch_size: 16}, model: {kind: patchtst, d_model: 64, dropout: 0.1}}
bases:
  one: {recipe.epochs: 2, recipe.patience: 2}
  two: {recipe: {patience: 3}}
experiments:
  - {id: A, base: [one, two], model.n_heads: 4, grid: {model.dropout: [0.7]}}
""")  # fmt: skip
    assert (spec.recipe.epochs, spec.recipe.patience, spec.recipe.batch_size) == (2, 3, 16)
    assert (spec.model.d_model, spec.model.n_heads, spec.model.dropout) == (64, 4, 0.7)


def test_another_kind_replaces_and_the_same_kind_merges(write):
    spec = _one(write, """
defaults: {loss: {kind: focal, gamma: 3}, evaluation: {protocol: walk_forward, start: 2007-01-01, block_years: 2}}
experiments: [{id: A, loss: {kind: labelsmoothing}, evaluation: {block_years: 4}}]
""")  # fmt: skip
    assert spec.loss.kind == "labelsmoothing"
    assert isinstance(spec.evaluation, WalkForward)
    assert spec.evaluation.block_years == 4


def test_grid_is_a_product_with_the_last_axis_fastest(write):
    campaign = load_campaign(write(HEAD + """
experiments:
  - {id: X-07..X-10, grid: {task.horizon: [1, 5], recipe.learning_rate: [1e-4, 1e-3]}}
"""))  # fmt: skip
    cells = [(e.id, e.spec.task.horizon, e.spec.recipe.learning_rate) for e in campaign.experiments]
    assert cells == [("X-07", 1, 1e-4), ("X-08", 1, 1e-3), ("X-09", 5, 1e-4), ("X-10", 5, 1e-3)]


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("recipe.learning_rate: 1e-4", ("recipe", "learning_rate"), 1e-4),
        ("recipe.learning_rate: 3E-3", ("recipe", "learning_rate"), 3e-3),
        ("recipe.weight_decay: .5", ("recipe", "weight_decay"), 0.5),
        ("seed: 010", ("seed",), 10),
        ("model: {kind: patchtst, revin: false}", ("model", "revin"), False),
        ("task.raw_bars: true", ("task", "raw_bars"), True),
        ("recipe.clip_norm: null", ("recipe", "clip_norm"), None),
    ],
)
def test_yaml_values(write, text, path, value):
    got = _one(write, f"experiments:\n  - {{id: A, {text}}}\n")
    for name in path:
        got = getattr(got, name)
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize("word", ["yes", "no", "on", "off", "NO", "True"])
def test_only_true_and_false_are_booleans(write, word):
    with pytest.raises(CampaignError, match=r"task.raw_bars"):
        _one(write, f"experiments:\n  - {{id: A, task.raw_bars: {word}}}\n")
    campaign = load_campaign(write(HEAD + f"experiments:\n  - {{id: {word}}}\n"))
    assert campaign.experiments[0].id == word


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("experiments:\n  - {id: A, model: {kind: patchtst, d_model: 10, n_heads: 4}}\n",
         r"c.yaml:4: A: model: n_heads 4 does not divide d_model 10; choose from 1, 2, 5, 10"),
        ("experiments:\n  - {id: A, loss: hinge}\n", r"c.yaml:4: A: loss: unknown kind 'hinge'; .*choose from bce, weightedbce"),
        ("experiments:\n  - id: A\n    recipe:\n      epoch: 3\n", r"c.yaml:6: A: recipe.epoch: unknown field; .*epochs"),
        ("experiments:\n  - {id: A, loss: {kind: focal, gama: 1}}\n", r"loss.gama: unknown field; .*choose from gamma, alpha"),
        ("bases:\n  b:\n    recipe.epochs: many\nexperiments:\n  - {id: A, base: b}\n", r"c.yaml:5: A: recipe.epochs: .*not 'many'"),
        ("experiments:\n  - {id: A, base: b}\n", r"c.yaml:4: unknown base 'b'; no bases"),
        ("experiments:\n  - {id: A, task.tier: a51}\n", r"c.yaml:4: A: task.tier: unknown tier 'a51'; .*choose from a20, a50"),
        ("experiments:\n  - {id: A}\n  - {id: A}\n", r"c.yaml:5: id A stands twice, first in line 4"),
        ("experiments:\n  - {id: A, modl: {}}\n", r"c.yaml:4: A: unknown field 'modl'; .*choose from id, priority"),
        ("experiments:\n  - {id: A, seed: 1, seed: 2}\n", r"c.yaml:4: this entry: seed stands twice"),
        ("experiments:\n  - {priority: P1}\n", r"c.yaml:4: an experiment needs an id"),
        ("experiments:\n  - {id: A}\n  - [1]\n", r"c.yaml:5: this entry must be a mapping"),
        ("experiments:\n  - {id: A..B}\n", r"c.yaml:4: 'A..B' is not a range of ids"),
        ("experiments:\n  - {id: a20/logit}\n", r"c.yaml:4: id 'a20/logit': letters, digits"),
        ("experiments:\n  - {id: '[/x]'}\n", r"letters, digits"),
        ("experiments:\n  - {id: A-1..A-999999999}\n", r"more than 10000 experiments"),
        ("experiments:\n  - {id: A, task: {kind: markets, tier: a50}}\n", r"c.yaml:4: A: task.kind: .*choose from"),
        ("experiments:\n  - {id: A, task.bars: x}\n", r"task.bars is set by `data:` or --data"),
        ("experiments:\n  - {id: A, task.volatility: x}\n", r"task.volatility is set by `vix:` or --vix"),
        ("experiments:\n  - {id: A, loss: {gamma: 1}}\n", r"c.yaml:4: A: loss: it needs a kind"),
        ("experiments:\n  - {id: A, model: {kind: patchtst, d_model: 1000000000000000000, n_heads: 7}}\n", r"less than or equal"),
        ("experiments:\n  - {id: A, seed: !!int a}\n", r"c.yaml:4: seed: 'a' is not a number"),
        ("experiments:\n  - {id: A, seed: !!bool a}\n", r"c.yaml:4: seed: 'a' is not true or false"),
        ("experiments:\n  - {id: A}\nvix: []\n", r"c.yaml:5: vix: the name of a file"),
        ("experiments:\n  - {id: A}\nfeatures: [a.csv]\n", r"c.yaml:5: features: the name of a file"),
        ("experiments:\n  - {id: \"a\\0\"}\n", r"letters, digits|not valid YAML"),
        ("a: &a [x,x,x,x,x,x,x,x,x]\nexperiments:\n  - {id: A}\n", r"unknown field 'a'"),
        ("experiments:\n  - {id: A-1..A-3, grid: {seed: [1, 2]}}\n", r"c.yaml:4: A-1: 3 ids for 2 experiments"),
        ("experiments:\n  - {id: A-1..B-3}\n", r"c.yaml:4: 'A-1..B-3' is not a range"),
        ("experiments:\n  - {id: A, grid: [null]}\n", r"c.yaml:4: grid must be a mapping"),
        ("experiments:\n  - {id: A, recipe: {kind: []}}\n", r"c.yaml:4: A: recipe.kind: unknown field"),
        ("experiments:\n  - {id: A, evaluation.alarms: []}\n", r"c.yaml:4: A: evaluation.alarms: at least one"),
        ("experiments:\n  - {id: A, grid: {seed: 1}}\n", r"c.yaml:4: grid: seed must be a list"),
        ("experiments: []\n", r"no experiments"),
        ("experiments: {A: 1}\n", r"c.yaml:3: experiments must be a list"),
        ("experimets:\n  - {id: A}\n", r"c.yaml:3: unknown field 'experimets'; .*choose from campaign"),
        ("experiments:\n  - {id: A, loss: [}\n", r"c.yaml:4: not valid YAML"),
        ("experiments:\n  - {id: A, recipe.epochs: 0}\n", r"c.yaml:4: A: recipe.epochs: .*greater than or equal to 1, not 0"),
        ("experiments:\n  - {id: A, recipe: {epochs: 0, lr: 1}}\n", r"and 1 more"),
        ("experiments:\n  - {id: A, base: 5}\n", r"c.yaml:4: A: base must be a name"),
        ("experiments:\n  - {id: A, base: [{a: 1}]}\n", r"c.yaml:4: A: base must be a name"),
        ("experiments:\n  - {id: A, evaluation: holdout}\n", r"c.yaml:4: A: evaluation must be a mapping"),
        ("experiments:\n  - {id: A, task: null}\n", r"c.yaml:4: A: task must be a mapping"),
        ("experiments:\n  - {id: A, seed: !!set {1}}\n", r"c.yaml:4: "),
        ("experiments:\n  - {id: A, recipe: &a [*a]}\n", r"nested deeper"),
    ],
)  # fmt: skip
def test_mistakes_name_file_line_field_and_choices(write, text, words):
    with pytest.raises(CampaignError, match=words):
        load_campaign(write(HEAD + text))


def test_selection():
    campaign = load_campaign("demo")
    picked = campaign.select(["D-03"], [], [])
    assert [e.id for e in picked.experiments] == ["D-03"]
    assert [e.id for e in picked.baselines] == [f"a50/{kind}" for kind in BASELINES]
    assert [e.id for e in campaign.select([], ["P1"], ["a20"]).experiments] == ["D-01", "D-02"]
    for arguments, words in (
        ((["D-99"], [], []), "no id 'D-99'; .*choose from D-01"),
        (([], ["P9"], []), "no priority 'P9'; .*choose from P1"),
        (([], [], ["a500"]), "no tier 'a500'"),
        ((["D-01"], [], ["a50"]), "no experiment has all"),
    ):
        with pytest.raises(CampaignError, match=words):
            campaign.select(*arguments)


def test_seeds_are_replicates_and_baselines_stay_single():
    campaign = load_campaign("demo", seeds=3)
    assert [e.id for e in campaign.experiments][:3] == ["D-01", "D-01@43", "D-01@44"]
    assert len(campaign.entries) == 2 * len(BASELINES) + 12
    assert [e.id for e in campaign.select(["D-02"], [], []).experiments] == [
        "D-02",
        "D-02@43",
        "D-02@44",
    ]
    with pytest.raises(CampaignError, match="0 seeds"):
        load_campaign("demo", seeds=0)


def test_equal_experiments_are_one_run(write):
    text = "experiments:\n  - {id: A}\n  - {id: B, recipe.batch_size: 128}\n  - {id: C, seed: 1}\n"
    campaign = load_campaign(write(HEAD + text))
    assert list(campaign.duplicate_specs().values()) == [["A", "B"]]


def test_protocol_and_data_can_be_overridden(sp500, tmp_path):
    held = load_campaign("demo", protocol="holdout").experiments[0].spec.evaluation
    assert held.protocol == "holdout"
    assert held.val_start.year == 2017
    sp500.head(4000).frame().write_parquet(tmp_path / "bars.parquet")
    other = load_campaign("demo", data=tmp_path / "bars.parquet")
    assert other.experiments[0].spec.key != load_campaign("demo").experiments[0].spec.key


def test_data_beside_the_campaign_file(tiny):
    assert len(load_campaign(tiny).data.panel.series[0]) == 1200


def test_unknown_campaign_and_data():
    with pytest.raises(
        CampaignError, match=r"unknown campaign 'dmo'; .*choose from demo, extended"
    ):
        load_campaign("dmo")
    with pytest.raises(DataError, match="no such file"):
        load_campaign("demo", data="nothing.csv")


@pytest.mark.parametrize("name", ["nofile.yaml", "nofile.yml", "folder/nofile"])
def test_what_can_only_be_a_file_is_no_unknown_campaign(name, tmp_path):
    with pytest.raises(CampaignError) as caught:
        load_campaign(name)
    assert caught.value.code == "no_file"
    assert str(caught.value) == f"{name}: no such file"


def test_names_that_are_nearly_right_are_told_first(tmp_path, monkeypatch, sp500):
    (tmp_path / "mine.yaml").write_text("experiments:\n  - {id: A, modle: patchtst}\n")
    with pytest.raises(CampaignError, match="did you mean model"):
        load_campaign(tmp_path / "mine.yaml")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CampaignError, match=r"did you mean mine\.yaml") as caught:
        load_campaign("mien.yaml")
    assert caught.value.code == "no_file"
    sp500.head(10).frame().write_csv("prices.csv")
    for name, meant in (("pricse.csv", "prices.csv"), ("nothing.csv", None)):
        with pytest.raises(DataError) as caught:
            load_campaign("demo", data=name)
        assert (f"did you mean {meant}" in str(caught.value)) == (meant is not None)


@pytest.mark.parametrize("name", ["a/b", "../x", "", ".hidden", "a b"])
def test_campaign_names_are_plain(write, name):
    with pytest.raises(CampaignError, match="letters, digits"):
        load_campaign(write(f"campaign: '{name}'\nexperiments:\n  - {{id: A}}\n"))


def test_a_baseline_may_be_an_experiment(write):
    campaign = load_campaign(write(HEAD + "experiments:\n  - {id: A, model: logit}\n"))
    assert [e.id for e in campaign.experiments] == ["A"]
    assert list(campaign.duplicate_specs().values()) == [["a20/logit", "A"]]


def test_baselines_of_two_tasks_keep_their_own_ids(write):
    text = "experiments:\n  - {id: A-1..A-2, grid: {task.horizon: [1, 5]}}\n"
    campaign = load_campaign(write(HEAD + text))
    ids = [entry.id for entry in campaign.entries]
    assert len(set(ids)) == len(ids) == 2 * len(BASELINES) + 2
    later = campaign.select(["A-2"], [], [])
    assert [e.id for e in later.baselines] == [i for i in ids if "~2" in i]


def test_bombs_are_refused_at_once(write):
    wide = ", ".join(f"seed{i}" for i in range(3000))
    grid = f"{{task.tier: [{wide}], recipe.epochs: [{wide}], seed: [{wide}]}}"
    with pytest.raises(CampaignError, match="more than 10000 cells"):
        load_campaign(write(HEAD + f"experiments:\n  - {{id: A, grid: {grid}}}\n"))
    levels = "\n".join(
        f"  b{i}: &b{i} {{recipe.epochs: [{', '.join([f'*b{i - 1}'] * 10)}]}}" for i in range(1, 8)
    )
    bomb = f"bases:\n  b0: &b0 {{seed: 1}}\n{levels}\nexperiments:\n  - {{id: A, base: b7}}\n"
    with pytest.raises(CampaignError, match=r"are aliases nested|nested deeper"):
        load_campaign(write(HEAD + bomb))
    with pytest.raises(CampaignError, match=r"nested deeper|not valid"):
        load_campaign(write("[" * 5000))
    with pytest.raises(CampaignError, match="give 1 to 10000"):
        load_campaign("demo", seeds=10**20)


NESTED = ", ".join(f"x{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 10)}]" for i in range(1, 9))


@pytest.mark.parametrize(("entry", "code"), [
    (f"id: A, recipe: {{x0: &x0 [], {NESTED}}}", "too_many_values"),
    (f"id: A, recipe: {{x0: &x0 {{}}, {NESTED}}}", "too_many_values"),
    ("id: A, recipe: &r [*r, *r]", "too_deep"),
    ("id: A, x: &a [1], *a : 2", "key"),
    ("id: A, ? {a: 1} : 2", "key"),
    ("id: A, ? " + "a." * 30_000 + "a : 1", "too_deep"),
    ("id: A, ? recipe." + "." * 30_000 + " : 1", "too_deep"),
    ("id: A" + "1" * 60_000, "id"),
    ("id: A" + "1" * 60_000 + "..A2", "id"),
    ("id: A1..A" + "9" * 30_000, "id"),
    ("id: A" + "1" * 100, "id"),
    ('id: "\\e[31mX1..\\e[31mX2", grid: {seed: [1, 2]}', "id"),
    ('id: "A\\u202eB"', "id"),
    ('id: A, priority: "<script>P1"', "priority"),
    ('id: A, priority: "P1\\e[2J"', "priority"),
    ("id: A, priority: " + "P" * 101, "priority"),
])  # fmt: skip
def test_hostile_files_are_refused_at_once(write, entry, code):
    began = time.monotonic()
    with pytest.raises(CampaignError) as caught:
        load_campaign(write(HEAD + f"experiments:\n  - {{{entry}}}\n"))
    assert caught.value.code == code
    assert str(caught.value).startswith("c.yaml:4: ")
    assert len(str(caught.value)) < 600
    assert time.monotonic() - began < 5


def test_wide_mappings_are_read_in_linear_time(write):
    names = ", ".join(f"x.y{i}: 1" for i in range(20_000))
    began = time.monotonic()
    with pytest.raises(CampaignError, match="unknown field"):
        load_campaign(write(HEAD + f"experiments:\n  - {{id: A, {names}}}\n"))
    assert time.monotonic() - began < 30


# ---------------------------------------------------------------------------------- the 183 of the published study


def _facts():
    """The declared campaign, restated from the research notes; absent values are the notes' defaults."""
    with (Path(__file__).parent / "precision_facts.csv").open() as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def _pairs(text):
    return {k: json.loads(v) for k, v in (pair.split("=") for pair in text.split())}


EMBEDDING_DEFAULTS = {
    "none": {}, "linear": {}, "progressive": {"num_layers": 3},
    "bottleneck": {"compression_ratio": 0.25, "use_skip": True},
    "multihead": {"num_heads": 4, "head_dim": None, "combine_method": "concat"},
    "gated_residual": {"hidden_dim": None}, "attention": {"num_heads": 4, "use_position": True},
}  # fmt: skip
HOLDOUT = {
    "d_model": 128, "n_layers": 4, "n_heads": 8, "d_ff": 512, "patch_length": 16, "stride": 8,
    "dropout": 0.5, "head_dropout": 0.0, "revin": True,
}  # fmt: skip


@pytest.fixture(scope="module")
def precision():
    return load_campaign("precision")


def test_precision_is_the_declared_campaign_to_the_value(precision):
    facts = _facts()
    assert [e.id for e in precision.experiments] == list(facts)
    assert len(facts) == 183
    for entry in precision.experiments:
        fact, spec = facts[entry.id], entry.spec
        overrides = _pairs(fact["overrides"])
        assert (entry.priority, spec.task.tier) == (fact["priority"], fact["tier"]), entry.id
        embedding = {"kind": fact["embedding"], **EMBEDDING_DEFAULTS[fact["embedding"]],
                     **_pairs(fact["embedding_params"])}  # fmt: skip
        if fact["width"]:
            embedding["width"] = int(fact["width"])
        decay = overrides.pop("weight_decay", 0.0)
        expected = {**HOLDOUT, **overrides, "kind": "patchtst", "embedding": embedding}
        further = {"multiscale", "regime", "networks"}  # switches of the extended campaign, all off
        assert spec.model.model_dump(exclude={"position_std", *further}) == expected, entry.id
        loss = spec.loss.model_dump()
        assert loss.pop("kind") == fact["loss"]
        assert {k: loss[k] for k in _pairs(fact["loss_params"])} == _pairs(fact["loss_params"])
        recipe = Recipe(weight_decay=decay, stop_on=fact["stop_on"])
        assert spec.recipe == recipe, entry.id
        assert (recipe.optimizer, recipe.learning_rate, recipe.schedule) == (
            "adam",
            1e-4,
            "constant",
        )
        assert (recipe.batch_size, recipe.epochs, recipe.patience, recipe.min_delta) == (
            128,
            50,
            15,
            1e-3,
        )
        task = spec.task
        assert (task.context, task.horizon, task.target.size) == (80, 1, 1.0)
        assert (task.target.price, task.raw_bars, spec.seed) == ("high", False, 42)


def test_precision_has_the_published_parameter_counts(precision):
    from trueness.models import parameter_count

    facts, columns = _facts(), {"a20": 20, "a50": 50, "a100": 100, "a200": 206, "a500": 500}
    for entry in precision.experiments:
        published = facts[entry.id]["weights_without_revin"]
        if published:
            n = columns[entry.spec.task.tier]
            assert parameter_count(entry.spec.model, n, 80) - 2 * n == int(published), entry.id


def test_precision_has_175_distinct_runs(precision):
    duplicates = {tuple(ids) for ids in precision.duplicate_specs().values()}
    assert duplicates == {
        ("FE-23", "FE-36"), ("FE-24", "FE-44"), ("FE-25", "FE-35"), ("FE-47", "FE-90"),
        ("FE-61", "FE-76"), ("FE-73", "FE-77"), ("LF-13", "LF-51"), ("LF-19", "LF-54"),
    }  # fmt: skip
    assert len({e.spec.key for e in precision.experiments}) == 175
    sizes = {}
    for entry in precision.experiments:
        sizes[entry.id[:2]] = sizes.get(entry.id[:2], 0) + 1
    assert sizes == {"FE": 92, "LF": 70, "AE": 21}


def test_precision_file_is_short():
    assert len(campaign_file("precision").read_text().splitlines()) <= 150


def test_fair_recipe_treats_all_losses_alike():
    fair = load_campaign("precision", recipe="fair")
    assert len(fair.experiments) == 5 * 183
    recipes = {}
    for entry in fair.experiments:
        recipes.setdefault(entry.id.split("@")[0], set()).add(entry.spec.seed)
        recipe = entry.spec.recipe
        assert (recipe.optimizer, recipe.schedule, recipe.stop_on) == ("adamw", "cosine", "val_auc")
        assert recipe.clip_norm == 1.0
        assert recipe.warmup_pct > 0
    assert recipes["LF-40"] == {42, 43, 44, 45, 46}
    decays = {e.id: e.spec.recipe.weight_decay for e in fair.experiments}
    assert decays["FE-06"] == named_recipe("fair", Bce(kind="bce"))["weight_decay"]
    assert decays["FE-29"] == 0.001  # what an experiment says itself stays on top
    assert len(load_campaign("precision", recipe="fair", seeds=2).experiments) == 2 * 183


def test_walk_forward_in_place_of_the_published_split():
    campaign = load_campaign("precision", protocol="walk_forward")
    assert {e.spec.evaluation.protocol for e in campaign.experiments} == {"walk_forward"}


def test_unknown_recipe_names_file_and_line(write):
    text = "experiments:\n  - {id: A, recipe.name: farir}\n"
    with pytest.raises(CampaignError, match=r"c\.yaml:4: A: recipe\.name: unknown recipe 'farir'"):
        load_campaign(write(HEAD + text))
    assert _one(write, "experiments:\n  - {id: A, recipe: fair}\n").recipe.optimizer == "adamw"


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (
            "loss: {kind: focal, gama: 2}",
            r"c\.yaml:4: A: loss\.gama: unknown field; .*choose from gamma, alpha",
        ),
        (
            "model: {kind: patchtst, d_model: 64, n_heads: 7}",
            r"c\.yaml:4: A: model: n_heads 7 does not divide",
        ),
        (
            "model: {kind: patchtst, embedding: {kind: progressive}}",
            r"c\.yaml:4: A: model\.embedding\.width: field required",
        ),
        (
            "model: {kind: patchtst, embedding: {kind: attention, width: 30, num_heads: 4}}",
            r"c\.yaml:4: A: model\.embedding",
        ),
        (
            "model: {kind: patchtst, embedding: {kind: bottle, width: 8}}",
            r"unknown kind 'bottle'; .*choose from .*bottleneck",
        ),
        ("loss: {kind: labelsmoothing, epsilon: 1.5}", r"loss\.epsilon"),
    ],
)
def test_bad_losses_and_embeddings_name_file_and_line(write, entry, words):
    with pytest.raises(CampaignError, match=words):
        load_campaign(write(f"{HEAD}experiments:\n  - {{id: A, {entry}}}\n"))


def test_a_word_keeps_what_others_say(write):
    """`recipe: fair` is `recipe.name: fair`, wherever it stands."""
    forms = [
        "defaults: {recipe: {epochs: 3}}\nexperiments:\n  - {id: A, recipe: fair}\n",
        "defaults: {recipe: fair}\nexperiments:\n  - {id: A, recipe.epochs: 3}\n",
        "experiments:\n  - {id: A, recipe: {name: fair, epochs: 3}}\n",
        "bases: {b: {recipe: fair}}\nexperiments:\n  - {id: A, base: b, grid: {recipe.epochs: [3]}}\n",
    ]
    specs = [_one(write, form) for form in forms]
    assert len({spec.key for spec in specs}) == 1
    assert (specs[0].recipe.epochs, specs[0].recipe.optimizer) == (3, "adamw")
    loss = "defaults: {loss: focal}\nexperiments:\n  - {id: A, loss.gamma: 1}\n"
    assert _one(write, loss).loss.gamma == 1


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("id: A, recipe.name: [fair]", "unknown recipe"),
        ("id: A, priority: [1]", "priority must be a word"),
        ("id: null", "id must be a word"),
        ("id: A, seed: 1000000000", "above 1,000,000,000"),
        ("id: A, loss: softauc, recipe.batch_size: 1", "batch_size must be at least 2"),
        ("id: A, model: {kind: patchtst, embedding: {kind: none, width: 3}}", "none takes none"),
        ("id: A, recipe.batch_size: 1000000000", "recipe.batch_size"),
    ],
)
def test_more_mistakes_name_their_line(write, entry, words):
    with pytest.raises(CampaignError, match=words) as caught:
        load_campaign(write(f"{HEAD}experiments:\n  - {{{entry}}}\n"), seeds=2)
    assert str(caught.value).startswith("c.yaml:4: ")


def test_a_volatility_index_is_in_the_key_of_those_that_read_it(tmp_path):
    from trueness.market import load_bars
    from trueness.tasks import task_of

    bars = load_bars("sp500")
    index = bars.frame().select("Date", "Close")
    index.write_csv(tmp_path / "vix.csv")
    (tmp_path / "c.yaml").write_text(
        "campaign: c\ndata: sp500\nexperiments:\n  - {id: A-1, task.tier: a20}\n  - {id: A-2, task.tier: a500}\n"
    )
    with_index = load_campaign(tmp_path / "c.yaml", data="sp500", vix=tmp_path / "vix.csv")
    without = load_campaign(tmp_path / "c.yaml")
    reads = [e.spec.task.volatility is not None for e in with_index.experiments]
    assert reads == [False, True]
    same = [
        one.spec.key == other.spec.key
        for one, other in zip(with_index.experiments, without.experiments, strict=True)
    ]
    assert same == [True, False]
    assert task_of("market").baselines(with_index.experiments[0].spec).keys() >= {"a20/logit"}
