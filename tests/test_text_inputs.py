"""Titles as people have them: every record is a row or is counted, and none changes its meaning."""

import json
import unicodedata
from collections import Counter
from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueness.errors import DataError
from trueness.text import PARTS
from trueness.text.building import Plan, build
from trueness.text.codes import language_code
from trueness.text.sources import clean_text
from trueness.text.tables import Columns, Table

NAMES = ("lamp", "shoe", "wine")
TEXTS = [f"{NAMES[i % 3]} no {i} item{i * 7919 % 10007}" for i in range(400)]
NAN = float("nan")


@pytest.fixture
def built(tmp_path):
    def make(name, content, *, similarity=None, columns=None, detect=True, **how):
        path = tmp_path / name
        if isinstance(content, pl.DataFrame):
            content.write_parquet(path)
        elif isinstance(content, list):
            path.write_text("".join(json.dumps(one) + "\n" for one in content))
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        plan = Plan(validation=0.2, test=0.2, threshold=similarity, detect=detect)
        source = Table(path, columns or Columns(), **how)
        return build(source, tmp_path / "out", plan)

    return make


def _rows(corpus):
    return sum(corpus.statistics["rows"].values())


def _languages(corpus):
    return {name: sum(parts.values()) for name, parts in corpus.statistics["languages"].items()}


def test_a_tab_separated_file_has_no_quotes(built):
    lines = [f'"{t}' if i == 50 else f'{t} 24"' if i == 350 else t for i, t in enumerate(TEXTS)]
    text = "".join(f"{line}\t{NAMES[i % 3]}\n" for i, line in enumerate(lines))
    assert _rows(built("a.tsv", "title\tcategory\n" + text)) == 400


def test_a_quote_that_swallows_rows_is_refused(built):
    lines = [f'"{t}' if i == 50 else f'{t}"' if i == 350 else t for i, t in enumerate(TEXTS)]
    text = "".join(f"{line},{NAMES[i % 3]}\n" for i, line in enumerate(lines))
    with pytest.raises(DataError) as error:
        built("a.csv", "title,category\n" + text)
    assert error.value.code in ("quotes", "row_length")


@pytest.mark.parametrize("end", ["jsonl", "parquet"])
def test_what_is_not_a_number_is_no_label_no_language_and_no_cluster(built, end):
    rows = [{"title": t, "category": None if i % 10 == 1 else NAMES[i % 3],
             "language": None if i % 4 == 0 else "en", "cluster": NAN if i % 2 else float(i)}
            for i, t in enumerate(TEXTS)]  # fmt: skip
    if end == "jsonl":
        for row in rows:
            row.update({k: NAN for k, v in row.items() if v is None})
    actual = built(f"a.{end}", rows if end == "jsonl" else pl.DataFrame(rows))
    assert actual.reports["skipped"] == {"no label": 40}
    assert (_rows(actual), set(actual.classes)) == (360, set(NAMES))
    assert "nan" not in _languages(actual)
    clusters = pl.concat(pl.read_parquet(f)["cluster"] for f in actual.folder.glob("*.parquet"))
    assert clusters.n_unique() == 360


def test_columns_are_those_of_all_records(built):
    rows = [{"text": f"{NAMES[i % 3]} {i} deluxe", "label": NAMES[i % 3],
             **({"language": "de"} if i >= 21_000 else {})} for i in range(24_000)]  # fmt: skip
    assert _languages(built("a.jsonl", rows, detect=False))["de"] == 3000


def test_records_with_many_names_keep_those_that_are_wanted(built):
    rows = [{"text": t, "label": NAMES[i % 3], **{f"f{i}_{j}": j for j in range(50)}}
            for i, t in enumerate(TEXTS)]  # fmt: skip
    assert _rows(built("a.jsonl", rows)) == 400


def test_decomposed_letters_are_the_same_language_and_the_same_class(built):
    forms = [
        unicodedata.normalize("NFD" if i % 2 else "NFC", f"남성용 책상 조명 무료 배송 {i}")
        for i in range(300)
    ]
    text = "".join(f"{one},{NAMES[i % 3]}\n" for i, one in enumerate(forms))
    assert _languages(built("a.csv", "text,label\n" + text)) == {"ko": 300}
    kinds = (unicodedata.normalize("NFD", "Möbel"), "Möbel", "Kabel", "Ka\u200bbel")
    text = "".join(f"{t},{kinds[i % 4]}\n" for i, t in enumerate(TEXTS))
    assert built("b.csv", "text,label\n" + text).classes == ("Kabel", "Möbel")


def test_classes_that_look_the_same_and_names_of_missing_values_are_told(built):
    kinds = ("Maße", "MASSE", "nan", "Kabel")
    text = "".join(f"{t},{kinds[i % 4]}\n" for i, t in enumerate(TEXTS))
    note = built("a.csv", "text,label\n" + text).reports["suspicious_names"]
    assert len(note) == 2
    assert "'MASSE', 'Maße'" in note[0]
    assert "'nan'" in note[1]


def test_soft_hyphens_hide_no_duplicates(built):
    soft = "\u00ad"
    text = "".join(
        f"{TEXTS[i // 2]} {f'Wasch{soft}ma{soft}schine' if i % 2 else 'Waschmaschine'} "
        f"Typ{i // 2 * 7919 % 10007} Far{soft * (i % 2)}be{i // 2},{NAMES[i // 2 % 3]}\n"
        for i in range(400)
    )
    assert (
        built("a.csv", "text,label\n" + text, similarity=0.8).reports["near_duplicates"]["joined"]
        == 400
    )


def test_codes_of_languages_are_folded_and_countries_asked_back(built):
    def titles(codes):
        return pl.DataFrame({
            "title": TEXTS, "label": [NAMES[i % 3] for i in range(400)],
            "language": [codes[i % len(codes)] for i in range(400)],
        })  # fmt: skip

    actual = built("a.parquet", titles(("es", "eng", "iw", "pt_BR")), detect=False)
    assert _languages(actual) == {"es": 100, "en": 100, "he": 100, "pt": 100}
    with pytest.raises(DataError) as error:
        built("b.parquet", titles(("us", "es")))
    assert error.value.code == "country"


@given(st.sampled_from(["en", "ENG", "iw", "jp", "xx", "zh-Hant", "ceb", "English", "", " de "]))
def test_a_folded_code_stays_as_it_is(code):
    once = pl.DataFrame({"a": [code]}).select(language_code("a"))
    assert once.select(language_code("a")).equals(once)


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("label", [["lamp"]] * 300),
        ("text", [{"a": "x"}] * 300),
        ("text", [b"\xff\xfe"] * 300),
        ("label", [timedelta(1), timedelta(2), timedelta(3)] * 100),
        ("cluster", [timedelta(i) for i in range(300)]),
    ],
)
def test_columns_of_other_types_are_refused_with_their_name_and_type(built, column, values):
    columns = {"text": TEXTS[:300], "label": [NAMES[i % 3] for i in range(300)]}
    with pytest.raises(DataError, match=column) as error:
        built("a.parquet", pl.DataFrame({**columns, column: values}))
    assert error.value.code == "column_type"


def test_texts_without_an_id_are_called_by_their_number(built):
    ids = [None if i % 3 == 0 else f"x{i}" for i in range(300)]
    labels = [NAMES[i % 2] for i in range(300)]
    actual = built("a.parquet", pl.DataFrame({"text": TEXTS[:300], "label": labels, "id": ids}))
    called = {one for name in PARTS for one in actual.part(name).ids}
    assert called == {str(i) if i % 3 == 0 else f"x{i}" for i in range(300)}


def test_large_clusters_and_truth_values_are_taken(built):
    cluster = pl.Series([2**63 + i // 2 for i in range(300)], dtype=pl.UInt64)
    frame = pl.DataFrame({"text": TEXTS[:300], "label": [i % 3 == 0 for i in range(300)]})
    actual = built("a.parquet", frame.with_columns(cluster=cluster))
    assert (_rows(actual), actual.classes) == (300, ("false", "true"))
    rows = [{"text": t, "label": i % 3 == 0} for i, t in enumerate(TEXTS)]
    assert built("b.jsonl", rows).classes == ("false", "true")


@given(st.lists(st.tuples(
    st.sampled_from(["lamp 1", "", " ", None, "cafe\u0301", "\u00ad", "\t"]),
    st.sampled_from([*NAMES, "", None, " "]),
), max_size=40))  # fmt: skip
def test_rows_read_are_rows_kept_and_rows_skipped(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("rows") / "a.parquet"
    pl.DataFrame(rows, {"text": pl.String, "label": pl.String}, orient="row").write_parquet(path)
    source = Table(path).prepared(path.parent)
    kept, skipped, read = 0, Counter(), 0
    for batch in source.batches(source.pieces()[0]):
        kept, read, skipped = kept + len(batch.frame), read + batch.read, skipped + batch.skipped
    assert read == kept + skipped.total() == len(rows)


@given(st.text(max_size=30))
def test_a_cleaned_text_is_composed_and_stays_as_it_is(text):
    once = pl.DataFrame({"text": [text]}).select(clean_text("text"))
    assert unicodedata.is_normalized("NFC", once.item())
    assert once.select(clean_text("text")).equals(once)
