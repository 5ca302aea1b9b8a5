"""Further fields of texts: brand, price, description, in the corpus and wherever texts come in."""

import json

import numpy as np
import polars as pl
import pytest

from tests.test_cli import call
from trueness.bundle.predicting import load
from trueness.campaign import load_campaign
from trueness.errors import DataError
from trueness.judge.finding import find_run
from trueness.runner import run
from trueness.store import Store
from trueness.text.building import Plan, build
from trueness.text.corpus import load_corpus
from trueness.text.fields import NONE, first_marker, marker, numbers_of, tenths_of, with_fields
from trueness.text.tables import Columns, Table

CAMPAIGN = """\
campaign: fields
data: corpus
defaults:
  task: {kind: titles, tokenizer: {kind: bpe, vocabulary: 400}, max_tokens: 32}
  model: {kind: encoder, d_model: 8, n_layers: 1, n_heads: 2, n_kv_heads: 1, d_ff: 16, head: {kind: plain}}
  recipe: {batch_size: 64, epochs: 1, warmup_steps: 3, precision: float32}
  evaluation: {min_rows: 20, draws: 100}
experiments:
  - {id: A}
"""
PLAN = Plan(validation=0.25, test=0.2, threshold=None)


def _offers(n=900, seed=1):
    """Titles that say nothing; brand tells two classes apart, price the third."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        kind = i % 3
        brand = (None, "Acme", "Zenith")[kind] if rng.random() < 0.95 else "Other"
        price = rng.normal((900, 20, 20)[kind], 5)
        title = " ".join(f"w{k}" for k in rng.integers(60, size=4))
        rows.append((f"o{i}", title, brand, f"{price:.2f}", ("tv", "lamp", "shoe")[kind], "en"))
    names = ["id", "title", "brand", "price", "label", "language"]
    return pl.DataFrame(rows, names, orient="row")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A corpus with fields, its store, and a bundle of its n-grams; read only."""
    folder = tmp_path_factory.mktemp("fields")
    _offers().write_csv(folder / "offers.csv")
    columns = Columns(("title",), "label", fields=("brand",), numbers={"price": ()})
    build(Table(folder / "offers.csv", columns), folder / "corpus", PLAN)
    (folder / "fields.yaml").write_text(CAMPAIGN)
    assert not run(load_campaign(folder / "fields.yaml"), Store(folder / "store"), device="cpu",
                   workers=0).failed  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def bundle(folder):
    from trueness.bundle.finalizing import finalize_named

    finalize_named(Store(folder / "store"), "tfidf_logit", {"data": folder / "corpus"},
                   folder / "bundle", device="cpu")  # fmt: skip
    return folder / "bundle"


# ------------------------------------------------------------------------------------------ corpora


def test_fields_stand_behind_the_title_in_the_order_that_was_said(folder):
    corpus, offers = load_corpus(folder / "corpus"), _offers()
    prices = offers["price"].cast(pl.Float64).to_numpy()
    bin_edges = np.quantile(prices, np.arange(1, 10) / 10, method="lower")
    np.testing.assert_allclose(corpus.columns["numbers"]["price"], bin_edges)
    offers_by_id = {row["id"]: row for row in offers.iter_rows(named=True)}
    train = corpus.part("train")
    for key, text in zip(train.ids[:200], train.texts[:200], strict=True):
        row = offers_by_id[key]
        tenth = int((float(row["price"]) >= bin_edges).sum())
        brand = row["brand"] or NONE
        assert text == f"{row['title']} [brand] {brand} [price] q{tenth}"
    tenths = train.texts.str.extract(r"(q\d)$").value_counts()["count"]
    assert tenths.min() > 0.05 * len(train)


def test_a_build_says_which_columns_it_took(folder, tmp_path, capsys):
    code, out, _ = call(capsys, "text", "build", "--table", folder / "offers.csv",
                        "--field", "brand", "--out", tmp_path / "c")  # fmt: skip
    assert code == 0
    assert ("Columns: title from 'title', class from 'label', language from 'language', no cluster, "
            "id from 'id', fields from 'brand'") in " ".join(out.split())  # fmt: skip


def test_models_read_the_fields(folder):
    one, _ = find_run(Store(folder / "store"), "tfidf_logit")
    assert one.record["estimates"]["macro_f1"]["value"] > 0.9  # titles alone say nothing


def test_near_duplicates_and_languages_go_by_the_title(tmp_path):
    long = " a description of very many words that is the same for every one of the offers"
    title = "Red garden lamp with a golden foot number"
    rows = [
        (f"{title} {i // 2}", f"Brand{i}", f"text {i % 7}{long}", f"c{i % 3}") for i in range(240)
    ]
    table = pl.DataFrame(rows, ["title", "brand", "description", "label"], orient="row")
    table.write_parquet(tmp_path / "t.parquet")
    sizes = {}
    for name, fields in (("titles", ("brand", "description")), ("other", ())):
        text = ("title",) if fields else ("title", "brand", "description")
        source = Table(tmp_path / "t.parquet", Columns(text, "label", fields=fields))
        corpus = build(source, tmp_path / name, Plan(validation=0.2, test=0.2, threshold=0.99))
        parts = [corpus.part(part) for part in ("train", "validation", "test")]
        sizes[name] = len(np.unique(np.concatenate([part.cluster for part in parts])))
        languages = set(np.concatenate([part.language for part in parts]))
    assert sizes == {"titles": 120, "other": 240}  # equal titles are one cluster, whatever follows
    assert languages == {"en"}


def test_fields_of_another_corpus_are_taken_with_their_tenths(folder, tmp_path, capsys):
    _offers(400, seed=5).with_columns(price=pl.lit("20")).write_csv(tmp_path / "more.csv")
    code, _, err = call(capsys, "text", "build", "--table", tmp_path / "more.csv",
                        "--text-column", "title", "--fields-of", folder / "corpus",
                        "--similarity", 0, "--out", tmp_path / "c")  # fmt: skip
    assert code == 0, err
    own = load_corpus(folder / "corpus").columns
    assert load_corpus(tmp_path / "c").columns["numbers"] == own["numbers"]
    base = ("--store", folder / "store", "--json")
    code, out, _ = call(capsys, "text", "evaluate", "A", "--corpus", tmp_path / "c", *base)
    assert code == 0
    code, _, _ = call(capsys, "text", "build", "--table", tmp_path / "more.csv", "--text-column",
                      "title", "--field", "brand", "--similarity", 0, "--out", tmp_path / "d")  # fmt: skip
    assert code == 0
    code, out, err = call(capsys, "text", "evaluate", "A", "--corpus", tmp_path / "d", *base)
    assert (code, out, len(err.strip().splitlines())) == (2, "", 1)
    assert "--fields-of" in err


# ---------------------------------------------------------------------------------------------- use


def test_a_bundle_reads_the_same_columns_and_knows_what_is_missing(bundle):
    predictor = load(bundle)
    table = pl.DataFrame({"title": ["w1 w2", "w3 w4", "w5 w6"], "brand": ["Acme", "Zenith", None],
                          "price": ["20", "21.5", ""]})  # fmt: skip
    data = predictor.load({"data": table})
    assert data.texts[0].startswith("w1 w2 [brand] Acme [price] q")
    assert data.texts[2] == f"w5 w6 [brand] {NONE} [price] {NONE}"
    assert predictor.predict(data).frame["label"].to_list()[:2] == ["lamp", "shoe"]


@pytest.mark.parametrize(
    ("table", "code"),
    [
        ({"title": ["w1"], "brand": ["Acme"]}, "missing_column"),
        ({"title": ["w1"], "price": ["3"]}, "missing_column"),
        ({"title": ["w1"], "brand": ["Acme"], "price": ["12,99 €"]}, "no_number"),
        ({"title": ["w1"], "brand": [["Acme"]], "price": ["3"]}, "column_type"),
        (None, "missing_column"),  # texts alone
    ],
)
def test_what_lacks_a_field_is_refused_in_one_line(bundle, table, code):
    texts = ["w1 w2"] if table is None else pl.DataFrame(table)
    with pytest.raises(DataError) as caught:
        load(bundle).load({"data": texts})
    assert caught.value.code == code
    assert "\n" not in str(caught.value)


def test_a_row_without_a_title_has_no_text_whatever_its_fields(bundle):
    table = pl.DataFrame({"title": ["", "w1"], "brand": ["Acme"] * 2, "price": ["20"] * 2})
    actual = load(bundle).predict(load(bundle).load({"data": table})).frame
    assert actual["odd"].to_list()[0] == "no text"
    assert actual["answer"].to_list()[0] == "abstains"


def test_the_bundle_records_its_fields(bundle):
    columns = json.loads((bundle / "bundle.json").read_text())["data"]["columns"]
    assert (columns["text"], columns["fields"]) == (["title"], ["brand"])
    assert len(columns["numbers"]["price"]) == 9


# ------------------------------------------------------------------------------------------ pieces


def test_markers_are_told_apart_and_columns_named_once():
    assert first_marker({"fields": [], "numbers": {"Net Price": [1]}}) == marker("net price")
    assert first_marker({"text": ["title"]}) is None
    for columns in ({"fields": ("brand", "Brand")}, {"fields": ("brand", "brand")},
                    {"fields": ("price",), "numbers": {"price": ()}}):  # fmt: skip
        with pytest.raises(DataError) as caught:
            Columns(("title",), **columns)
        assert caught.value.code == "fields"


def test_a_column_without_numbers_is_refused_and_equal_tenths_are_one():
    with pytest.raises(DataError) as caught:
        tenths_of([pl.DataFrame({"price": ["", None]})], ["price"], "t")
    assert caught.value.code == "no_number"
    same = pl.DataFrame({"price": ["5"] * 8 + ["7"] * 2})
    assert tenths_of([same], ["price"], "t") == {"price": [5.0, 7.0]}
    assert np.isnan(numbers_of(pl.DataFrame({"price": [None]}), "price", "t").to_numpy()).all()


def test_a_missing_title_stays_missing():
    actual = with_fields(pl.DataFrame({"b": ["x", "y"]}), pl.Series([None, "t"]), ["b"], {}, "t")
    assert actual.to_list() == [None, "t [b] y"]


@pytest.mark.parametrize(
    "roles",
    [
        {"fields": ("label",)},
        {"numbers": {"label": ()}},
        {"fields": ("text",)},
        {"parents": ("label",)},
    ],
)
def test_a_label_is_no_field_and_no_parent(roles):
    with pytest.raises(DataError) as error:
        Columns(text=("text",), label="label", **roles)
    assert error.value.code == "fields"


def test_an_infinite_number_is_refused():
    with pytest.raises(DataError) as error:
        numbers_of(pl.DataFrame({"price": ["1", "inf"]}), "price", "offers.csv")
    assert error.value.code == "no_number"


def test_words_of_a_text_are_asked_about_with_its_fields(bundle, capsys):
    code, out, _ = call(capsys, "importance", bundle, "--text", "w1 w2 [brand] Acme", "--json")
    actual = json.loads(out)
    assert code == 0
    assert actual["text"]["text"] == "w1 w2 [brand] Acme [price] [none]"
    assert [one["word"] for one in actual["text"]["words"]] == ["w1", "w2", "Acme"]
    assert sum("[price]" in note for note in actual["notes"]) == 1
