"""Corpora: what is read, skipped, joined, split, written and refused."""

import bz2
import contextlib
import gzip
import io
import json
import lzma
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trueness.cli import main
from trueness.errors import DataError, TruenessError
from trueness.files import read_json, sha256_of, write_json
from trueness.reading.jsonlines import LONGEST_LINE, as_text, line_blocks, records
from trueness.text import PARTS, load_corpus
from trueness.text import archive as archive_room
from trueness.text.archive import Archive, members
from trueness.text.building import Plan, build
from trueness.text.corpus import COLUMNS, PartWriter
from trueness.text.debian import Debian, without_names
from trueness.text.mapping import CATEGORIES, plain_name, read_mapping
from trueness.text.sizes import LARGEST, needed, size_notes
from trueness.text.sources import cleaned
from trueness.text.statistics import statistics
from trueness.text.synthetic import CLASS_SHARES, LANGUAGES, Catalogue, vocabulary
from trueness.text.tables import Columns, DatasetFolder, Table

ROWS = 1200


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A synthetic corpus, with the full file."""
    folder = tmp_path_factory.mktemp("corpus") / "titles"
    return build(Catalogue(ROWS, english_share=0.5), folder, Plan(full=True))


def frame_of(corpus, part):
    return pl.read_parquet(corpus.folder / f"{part}.parquet")


def all_rows(source, scratch):
    """Frames, records read and reasons for skips of a whole source."""
    scratch.mkdir(exist_ok=True)
    source = source.prepared(scratch)
    batches = [batch for piece in source.pieces() for batch in source.batches(piece)]
    skipped = sum((batch.skipped for batch in batches), Counter())
    return pl.concat([b.frame for b in batches]), sum(b.read for b in batches), skipped


def zipped(path, contents, method=zipfile.ZIP_STORED):
    """Archive of members, each a name and the bytes before gzip."""
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in contents.items():
            file.writestr(name, gzip.compress(content))
    return path


def offer(**fields):
    return (json.dumps(fields) + "\n").encode()


def mapped(path, text="1\tBooks\n2\tHome & Garden\n3\tshoes\n"):
    path.write_text(text)
    return path


# ------------------------------------------------------------------------------------------ layout


def test_a_corpus_has_the_layout_and_no_shared_cluster(corpus):
    frames = {part: frame_of(corpus, part) for part in PARTS}
    for frame in frames.values():
        assert dict(frame.schema) == COLUMNS
    clusters = [set(frame["cluster"]) for frame in frames.values()]
    assert not clusters[0] & clusters[1] | clusters[0] & clusters[2] | clusters[1] & clusters[2]
    assert sum(map(len, frames.values())) == ROWS
    assert corpus.classes == tuple(sorted(CLASS_SHARES))
    assert frame_of(corpus, "full").height == ROWS


@pytest.mark.parametrize("part", PARTS)
def test_titles_are_the_columns_of_their_part(corpus, part):
    titles, frame = corpus.part(part), frame_of(corpus, part)
    assert len(titles) == len(frame)
    assert titles.texts.to_list() == frame["text"].to_list()
    assert [corpus.classes[k] for k in titles.y] == frame["label"].to_list()
    assert titles.language.tolist() == frame["language"].to_list()
    assert titles.cluster.tolist() == frame["cluster"].to_list()
    assert (titles.y.dtype, titles.cluster.dtype) == (np.int64, np.int64)


def test_statistics_are_those_of_the_files(corpus):
    note = corpus.statistics
    frames = {part: frame_of(corpus, part) for part in PARTS}
    everything = pl.concat(frames.values())
    for part, frame in frames.items():
        assert note["rows"][part] == len(frame)
        assert note["clusters"]["number"][part] == frame["cluster"].n_unique()
        for (language, label), rows in frame.group_by("language", "label"):
            cell = note["cells"][part][language][corpus.classes.index(label)]
            assert cell == len(rows)
        for name, column in (("classes", "label"), ("languages", "language")):
            counted = dict(frame[column].value_counts().iter_rows())
            assert {k: v[part] for k, v in note[name].items() if v[part]} == counted
    sizes = everything["cluster"].value_counts()["count"]
    assert note["clusters"]["largest"] == sizes.max()
    assert note["clusters"]["of_one_text"] == (sizes == 1).sum()
    assert note["characters"]["mean"] == pytest.approx(
        everything["text"].str.len_chars().mean(), abs=0.06
    )


def test_the_digest_is_of_values_and_not_of_how_they_were_cut(corpus, tmp_path):
    frame = frame_of(corpus, "train")

    def digest(frames):
        writer = PartWriter(tmp_path / "part.parquet")
        for one in frames:
            writer.write(one)
        return writer.close()

    whole = digest([frame])
    assert digest([frame[:7], frame[7:7], frame[7:]]) == whole
    for name in COLUMNS:
        changed = frame.with_columns(
            pl.when(pl.int_range(pl.len()) == 5)
            .then(
                pl.col(name).cast(pl.String) + "1"
                if COLUMNS[name] == pl.String
                else pl.col(name) + 1
            )
            .otherwise(pl.col(name))
            .alias(name)
        )
        assert digest([changed]) != whole, name
    moved = pl.Series(["ab", "c"]), pl.Series(["a", "bc"])
    assert digest([frame[:2].with_columns(text=moved[0])]) != digest(
        [frame[:2].with_columns(text=moved[1])]
    )


def test_a_corpus_is_verified_and_refused_when_its_files_changed(corpus, tmp_path):
    import shutil

    corpus.verify()
    copy = tmp_path / "copy"
    shutil.copytree(corpus.folder, copy)
    swapped = frame_of(corpus, "test").reverse()
    swapped.write_parquet(copy / "test.parquet")
    with pytest.raises(DataError, match="bytes"):
        load_corpus(copy)
    content, path = read_json(copy / "corpus.json"), copy / "test.parquet"
    content["files"]["test.parquet"]["bytes"] = path.stat().st_size
    write_json(copy / "corpus.json", content)
    with pytest.raises(DataError, match="content differs"):
        load_corpus(copy).part("test")
    content["files"]["test.parquet"]["sha256"] = sha256_of(path)
    write_json(copy / "corpus.json", content)
    with pytest.raises(DataError, match="digest"):
        load_corpus(copy).verify()
    content["classes"] = [name for name in content["classes"] if name != "Books"]
    write_json(copy / "corpus.json", content)
    with pytest.raises(DataError, match="'Books' in part test is none of the 7 classes"):
        load_corpus(copy).part("test")
    (copy / "test.parquet").unlink()
    with pytest.raises(DataError, match=r"test\.parquet: the file is missing"):
        load_corpus(copy)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"version": 1}',
        '{"version": 1, "digest": 1, "classes": 3, "statistics": {}, "provenance": {}, "reports": {}, "files": []}',
    ],
)
def test_a_broken_description_is_refused(tmp_path, text):
    (tmp_path / "corpus.json").write_text(text)
    with pytest.raises(DataError, match="build the corpus again"):
        load_corpus(tmp_path)
    with contextlib.suppress(ValueError):
        write_json(tmp_path / "corpus.json", dict(json.loads(text)))
        with pytest.raises(DataError, match="build the corpus again"):
            load_corpus(tmp_path)


def test_a_newer_version_is_refused(corpus, tmp_path):
    content = read_json(corpus.folder / "corpus.json")
    write_json(tmp_path / "corpus.json", {**content, "version": 3})
    with pytest.raises(DataError, match="version 3"):
        load_corpus(tmp_path)


def test_the_full_part_is_never_trained_on(corpus):
    with pytest.raises(DataError, match="holds the test texts"):
        corpus.part("full")


# ------------------------------------------------------------------------------------------ building


def test_the_same_source_makes_the_same_corpus(corpus, tmp_path):
    again = build(Catalogue(ROWS, english_share=0.5), tmp_path / "b")
    other = build(Catalogue(ROWS, english_share=0.5), tmp_path / "c", Plan(seed=1))
    assert again.digest == corpus.digest != other.digest


def test_products_listed_twice_are_joined(corpus, tmp_path):
    note = corpus.reports["near_duplicates"]
    assert note["clusters_before"] - note["clusters_after"] >= 5
    assert 2 <= len(note["examples"]) <= 5
    for one, other in note["examples"]:
        assert one["id"] != other["id"]
        assert other["text"].startswith(one["text"]) or one["text"].startswith(other["text"])
    everything = pl.concat(frame_of(corpus, part) for part in PARTS)
    cluster = dict(zip(everything["id"], everything["cluster"], strict=True))
    for one, other in note["examples"]:
        assert cluster[one["id"]] == cluster[other["id"]]
    alone = build(Catalogue(ROWS, english_share=0.5), tmp_path / "b", Plan(threshold=None))
    assert alone.reports["near_duplicates"] is None
    assert sum(alone.statistics["clusters"]["number"].values()) == note["clusters_before"]


def table_of(rows, **columns):
    """Texts of two classes that resemble each other in nothing."""
    rng = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz "))
    texts = ["".join(rng.choice(letters, 40)) for _ in range(rows)]
    return pl.DataFrame({"text": texts, "label": ["a", "b"] * (rows // 2), **columns})


def test_leaks_are_the_texts_that_would_have_had_a_copy_in_train(tmp_path):
    table = table_of(400)
    doubled = pl.concat([table, table])
    doubled.write_parquet(tmp_path / "t.parquet")
    note = build(Table(tmp_path / "t.parquet"), tmp_path / "c").reports["near_duplicates"]
    assert (note["clusters_before"], note["clusters_after"], note["joined"]) == (800, 400, 800)
    assert (
        50 <= note["leaks"]["test"] <= 80
    )  # 80 texts, of which nearly all have their copy in train
    assert note["largest"] == 2


def test_a_text_without_cluster_is_one_of_its_own(tmp_path):
    cluster = ["x", "x", *[None] * 98, *["y", "z"] * 50]
    table_of(200, cluster=cluster).write_csv(tmp_path / "t.csv")
    corpus = build(Table(tmp_path / "t.csv"), tmp_path / "c")
    assert sum(corpus.statistics["clusters"]["number"].values()) == 1 + 98 + 2
    assert corpus.statistics["clusters"]["of_several_classes"] == 1  # x holds an a and a b


def test_given_languages_win_and_others_are_detected(tmp_path):
    german = "Diese roten Schuhe sind für den Winter gemacht und halten die Füße warm, Nummer "
    rows = [
        {
            "text": f"{german}{k}",
            "label": "ab"[k % 2],
            "language": [None, "pt_BR", "klingon!"][k % 3],
        }
        for k in range(300)
    ]
    pl.DataFrame(rows).write_parquet(tmp_path / "t.parquet")
    plan = Plan(threshold=None)
    corpus = build(Table(tmp_path / "t.parquet"), tmp_path / "c", plan)
    frame = pl.concat(frame_of(corpus, part) for part in PARTS)
    assert set(frame["language"]) == {"de", "pt"}
    assert (frame.filter(pl.col("language") == "pt")["language_confidence"] == 1).all()
    assert (frame.filter(pl.col("language") == "de")["language_confidence"] < 1.001).all()
    assert frame.filter(pl.col("language") == "pt").height == 100
    assert corpus.reports["skipped"] == {"kept, but its language is no code": 100}
    assert [row["language"] for row in corpus.reports["languages"]] == ["de"]
    blind = build(Table(tmp_path / "t.parquet"), tmp_path / "d", replace(plan, detect=False))
    assert set(blind.statistics["languages"]) == {"pt", "und"}


def test_english_is_given_its_share_of_the_train_part_only(corpus, tmp_path):
    for share in (0.886, 0.2):
        thin = build(
            Catalogue(ROWS, english_share=0.5), tmp_path / f"{share}", Plan(english_share=share)
        )
        train = thin.statistics["languages"]
        rows = thin.statistics["rows"]["train"]
        assert train["en"]["train"] / rows == pytest.approx(share, abs=1 / rows)
        for part in ("validation", "test"):
            assert frame_of(thin, part).equals(frame_of(corpus, part))
        assert thin.reports["thinned_out"]["rows"] == corpus.statistics["rows"]["train"] - rows


def test_small_classes_are_left_out_and_told(tmp_path):
    corpus = build(Catalogue(ROWS), tmp_path / "c", Plan(min_class_rows=100))
    small = corpus.reports["small_classes"]
    assert small
    assert all(rows < 100 for rows in small.values())
    assert set(corpus.classes) | set(small) == set(CLASS_SHARES)
    assert set(pl.concat(frame_of(corpus, p) for p in PARTS)["label"]) == set(corpus.classes)
    assert sum(corpus.statistics["rows"].values()) == ROWS - sum(small.values())


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pl.DataFrame({"text": [], "label": []}, schema={"text": pl.String, "label": pl.String}), "no text with a class among 0 records"),
        (pl.DataFrame({"text": ["", " ", None], "label": ["a", "b", "c"]}), "no text: 3"),
        (pl.DataFrame({"text": ["x y", "z"], "label": [None, ""]}), "no label: 2"),
        (table_of(40).with_columns(label=pl.lit("a")), "a single class, 'a'"),
        (table_of(40).with_columns(cluster=pl.lit(1)), "is empty|clusters"),
        (table_of(40).rename({"label": "kind"}), "no column for the label among text, kind; name it with --label-column"),
        (table_of(40).rename({"text": "words"}), "no column for the text"),
    ],
)  # fmt: skip
def test_sources_without_a_corpus_in_them_are_refused(tmp_path, table, message):
    table.write_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match=message):
        build(Table(tmp_path / "t.parquet"), tmp_path / "c")
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]


def test_only_an_older_corpus_is_replaced(corpus, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "text.md").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for taken in ("notes", "file"):
        with pytest.raises(DataError, match=r"is no corpus and not empty|is a file"):
            build(Catalogue(ROWS), tmp_path / taken)
    assert (tmp_path / "notes" / "text.md").read_text() == "mine"
    with pytest.raises(DataError, match="the folder you are in"):
        build(Catalogue(ROWS), ".")
    (tmp_path / "empty").mkdir()
    first = build(Catalogue(ROWS), tmp_path / "empty")
    second = build(Catalogue(ROWS, seed=3), tmp_path / "empty", Plan(full=True))
    assert first.digest != second.digest == load_corpus(tmp_path / "empty").digest
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file", "notes"]


def test_a_build_that_fails_leaves_nothing_and_keeps_the_old_one(tmp_path, monkeypatch):
    old = build(Catalogue(ROWS), tmp_path / "c")

    def interrupted(self, frame):
        raise KeyboardInterrupt

    monkeypatch.setattr(PartWriter, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build(Catalogue(ROWS, seed=3), tmp_path / "c")
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["c"]
    assert load_corpus(tmp_path / "c").digest == old.digest


@pytest.mark.parametrize(
    "wrong",
    [{"validation": 0}, {"test": 1.0}, {"validation": 0.6, "test": 0.5}, {"gate": 2}, {"threshold": -1},
     {"seed": 1.5}, {"workers": -1}, {"min_class_rows": 0}, {"english_share": float("nan")},
     {"english_share": 0}, {"english_share": 1.0}],
)  # fmt: skip
def test_plans_that_make_no_sense_are_refused(wrong):
    with pytest.raises(TruenessError, match=next(iter(wrong))):
        Plan(**wrong)


def test_a_share_of_english_without_other_texts_is_refused_before_texts_are_compared(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("trueness.text.building.near_duplicates", None)
    with pytest.raises(DataError) as caught:
        build(Catalogue(300, english_share=1.0), tmp_path / "c", Plan(english_share=0.5))
    assert caught.value.code == "english_share"


# ------------------------------------------------------------------------------------------ archive


def test_every_record_of_an_archive_is_a_row_or_counted(tmp_path):
    lines = [
        offer(id=7, cluster_id=1, title="A novel", description="with\nlines\tand  spaces"),
        offer(cluster_id="2", name="Lamp", language="EN-us"),
        offer(cluster_id=3, title="", name="Boots", description=None),
        offer(cluster_id=3, title=None, description="Sandals"),
        offer(cluster_id=9, title="not mapped"),
        offer(cluster_id=4, title="unknown category"),
        offer(title="without cluster"),
        offer(cluster_id=True, title="no number"),
        offer(cluster_id=1),
        offer(cluster_id=1, title="\u00a0 \u2003"),
        b'{"cluster_id": 1, "title": "bro\n',
        b"[1, 2]\n",
        b"\xff\xfe bad\n",
        b"\n",
        offer(cluster_id=1, title="x" * (LONGEST_LINE + 5)),
        b'{"cluster_id": 1, "title": "half \\ud800 a pair"}',
    ]
    path = zipped(tmp_path / "a.zip", {"b.json.gz": b"".join(lines), "readme.txt": b"hello"})
    mapping = mapped(tmp_path / "m.tsv", "1\tBooks\n2\tHome & Garden\n3\tshoes\n4\tSpaceships\n")
    frame, read, skipped = all_rows(Archive(path, mapping), tmp_path / "s")
    assert frame.rows() == [
        ("7", "A novel with lines and spaces", "Books", None, 1),
        ("b.json.gz:2", "Lamp", "Home_and_Garden", "en", 2),
        ("b.json.gz:3", "Boots", "Shoes", None, 3),
        ("b.json.gz:4", "Sandals", "Shoes", None, 3),
        ("b.json.gz:11", "half \ufffd a pair", "Books", None, 1),
    ]
    assert skipped == {
        "cluster not in the mapping": 1, "unknown category 'Spaceships'": 1, "no cluster": 2,
        "no text": 2, "broken JSON": 1, "no JSON object": 1, "bad UTF-8": 1,
        "line over 1,048,576 bytes": 1, "kept, but only a description": 1,
    }  # fmt: skip
    assert read == len(frame) + skipped.total() - 1 == 15


def test_descriptions_and_long_texts_are_cut_on_demand(tmp_path):
    path = zipped(
        tmp_path / "a.zip", {"a.json.gz": offer(cluster_id=1, title="A novel", description="long")}
    )
    source = Archive(path, mapped(tmp_path / "m.tsv"))
    for options, text in (
        ({}, "A novel long"),
        ({"titles_only": True}, "A novel"),
        ({"max_chars": 2}, "A"),
    ):
        frame, *_ = all_rows(replace(source, **options), tmp_path / "s")
        assert frame["text"].to_list() == [text]


@pytest.mark.parametrize(
    "spelling", ["Home_and_Garden", "Home & Garden", "home and garden", " HOME &  GARDEN "]
)
def test_categories_may_be_spelled_in_many_ways(tmp_path, spelling):
    mapping = read_mapping(mapped(tmp_path / "m.tsv", f"5\t{spelling}\n"))
    labels, reasons = mapping.labels(np.array([5, 6]))
    assert labels == ["Home_and_Garden", None]
    assert reasons == {"cluster not in the mapping": 1}


def test_no_two_categories_share_a_spelling():
    assert len({plain_name(name) for name in CATEGORIES}) == len(CATEGORIES) == 24


def test_the_mapping_counts_what_it_cannot_use(tmp_path):
    text = (
        "1\tBooks\nheader\tcategory\n2\tBooks\n2\tShoes\n3\tSpaceships\n4\n\n1\tbooks\n5\tRockets\n"
    )
    mapping = read_mapping(mapped(tmp_path / "m.tsv", text))
    assert mapping.report == {
        "lines": 8, "broken lines": 2, "clusters": 4, "clusters with two categories": 1,
        "clusters of unknown category 'Spaceships'": 1, "clusters of unknown category 'Rockets'": 1,
    }  # fmt: skip
    labels, reasons = mapping.labels(np.array([1, 2, 3, 5, 3]))
    assert labels == ["Books", None, None, None, None]
    assert reasons == {
        "cluster with two categories in the mapping": 1, "unknown category 'Spaceships'": 2,
        "unknown category 'Rockets'": 1,
    }  # fmt: skip


def test_many_unknown_categories_share_one_count(tmp_path):
    text = "".join(f"{k}\tkind {k}\n" for k in range(200)) + "1000\tBooks\n"
    mapping = read_mapping(mapped(tmp_path / "m.tsv", text))
    _, reasons = mapping.labels(np.arange(200))
    assert reasons.total() == 200
    assert len(reasons) == 51
    assert reasons["unknown category '(others)'"] == 150


@given(
    st.dictionaries(
        st.integers(-(2**62), 2**62), st.sampled_from(CATEGORIES), min_size=1, max_size=30
    ),
    st.integers(1, 40),
)
@settings(max_examples=40)
def test_the_mapping_is_a_dictionary(tmp_path_factory, of, block):
    path = tmp_path_factory.mktemp("m") / "m.tsv"
    mapped(path, "".join(f"{cluster}\t{name}\n" for cluster, name in of.items()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trueness.text.mapping._BLOCK_BYTES", block)
        mapping = read_mapping(path)
    asked = [*of, 5, -7]
    assert mapping.labels(np.array(asked))[0] == [of.get(one) for one in asked]


@pytest.mark.parametrize("text", ["", "nothing here\n", "1\tSpaceships\n"])
def test_a_mapping_without_a_known_category_is_refused(tmp_path, text):
    with pytest.raises(DataError, match="no cluster with a known category"):
        read_mapping(mapped(tmp_path / "m.tsv", text))


def test_row_order_does_not_depend_on_workers(tmp_path):
    rng = np.random.default_rng(0)
    contents = {
        f"part{k}.json.gz": b"".join(
            offer(cluster_id=int(rng.integers(1, 4)), title=" ".join(map(str, rng.integers(10**6, size=6))))
            for _ in range(60)
        )
        for k in (2, 0, 1)
    }  # fmt: skip
    source = Archive(
        zipped(tmp_path / "a.zip", contents),
        mapped(tmp_path / "m.tsv", "".join(f"{k}\t{c}\n" for k, c in enumerate(CATEGORIES))),
    )
    clusters = replace(source, map=mapped(tmp_path / "n.tsv", "1\tBooks\n2\tShoes\n3\tBooks\n"))
    with pytest.raises(DataError, match=r"empty|clusters"):
        build(clusters, tmp_path / "x")  # three clusters cannot be split
    number = iter(range(10**6))
    many = {
        name: b"".join(
            offer(**{**json.loads(line), "cluster_id": next(number)})
            for line in content.splitlines()
        )
        for name, content in contents.items()
    }
    source = Archive(
        zipped(tmp_path / "b.zip", many),
        mapped(tmp_path / "o.tsv", "".join(f"{k}\t{CATEGORIES[k % 3]}\n" for k in range(180))),
    )
    one = build(source, tmp_path / "one", Plan(detect=False, threshold=None))
    two = build(source, tmp_path / "two", Plan(detect=False, threshold=None, workers=2))
    assert one.digest == two.digest
    assert one.reports == two.reports


@given(st.lists(st.binary(max_size=40), max_size=12), st.integers(1, 30))
def test_lines_do_not_depend_on_how_the_stream_is_cut(lines, size):
    content = b"\n".join(lines)
    blocks = [content[k : k + size] for k in range(0, len(content), size)]
    actual = [line for block in line_blocks(blocks, Counter()) for line in block]
    assert actual == [line for line in content.split(b"\n") if line]


@pytest.mark.parametrize("size", [1 << 16, 3 * LONGEST_LINE])
def test_huge_lines_are_skipped_whole(size):
    long = b"x" * (2 * LONGEST_LINE)
    content = b"\n".join([b'{"a":1}', long, b'{"a":2}', long])
    skipped = Counter()
    blocks = [content[k : k + size] for k in range(0, len(content), size)]
    actual = [r for lines in line_blocks(blocks, skipped) for r in records(lines, skipped)]
    assert actual == [{"a": 1}, {"a": 2}]
    assert skipped == {"line over 1,048,576 bytes": 2}


def test_deep_json_is_a_broken_line_and_not_the_end():
    skipped = Counter()
    deep = b"[" * 500_000
    assert list(records([deep, b'{"n": ' + b"9" * 5000 + b"}", b'{"a": 1}'], skipped)) == [{"a": 1}]
    assert skipped == {"broken JSON": 2}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("ü", "ü"),
        (12, "12"),
        (1.5, "1.5"),
        (None, ""),
        (True, ""),
        (["a"], ""),
        ("\ud83d\ude00", "😀"),
    ],
)
def test_values_as_text(value, text):
    assert as_text(value) == text


@pytest.mark.parametrize(
    "name",
    [
        "../a.json.gz",
        "/a.json.gz",
        "a/../../b.json.gz",
        "C:\\a.json.gz",
        "..\\a.json.gz",
        "\\\\host\\a.json.gz",
    ],
)
def test_names_that_lead_out_of_an_archive_are_refused(tmp_path, name):
    with pytest.raises(DataError, match="leads out of the archive"):
        members(zipped(tmp_path / "a.zip", {name: b"{}"}))


def test_links_and_encrypted_members_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as file:
        info = zipfile.ZipInfo("a.json.gz")
        info.external_attr = 0o120777 << 16
        file.writestr(info, b"/etc/passwd")
    with pytest.raises(DataError, match="is a link"):
        members(tmp_path / "link.zip")
    path = zipped(tmp_path / "a.zip", {"a.json.gz": b"{}"})
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(raw)
    with pytest.raises(DataError, match="encrypted"):
        members(path)


def test_archives_that_are_none_are_refused(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"PK no archive")
    with pytest.raises(DataError, match="no zip archive"):
        members(tmp_path / "a.zip")
    with pytest.raises(DataError, match=r"none of its 1 members ends in \.json\.gz"):
        members(zipped(tmp_path / "b.zip", {"a.txt": b""}))
    with pytest.raises(DataError, match="no such file"):
        members(tmp_path / "c.zip")
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as file:
        file.writestr("a.json.gz", b"")
        with pytest.warns(UserWarning, match="Duplicate name"):
            file.writestr("a.json.gz", b"")
    with pytest.raises(DataError, match="stands twice"):
        members(tmp_path / "d.zip")


def bomb(path, method):
    """100 MB of zeros in gzip; with deflate around it, the zip layer inflates as well."""
    inner = io.BytesIO()
    with gzip.open(inner, "wb") as file:
        for _ in range(100):
            file.write(bytes(10**6))
    with zipfile.ZipFile(path, "w", method) as file:
        file.writestr("bomb.json.gz", inner.getvalue())
    return path


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_bombs_are_refused_while_they_inflate(tmp_path, method):
    path = bomb(tmp_path / "a.zip", method)
    with pytest.raises(DataError, match="inflates beyond 67,108,864 bytes; refused"):
        build(Archive(path, mapped(tmp_path / "m.tsv")), tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_bombs_are_refused_by_what_they_declare(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.json.gz", bytes(70 << 20))
    with pytest.raises(DataError, match="declares to inflate 1,0"):
        members(tmp_path / "a.zip")


def test_the_limit_of_an_archive_counts_all_members(tmp_path):
    line = offer(cluster_id=1, title="x" * 100)
    path = zipped(tmp_path / "a.zip", {f"{k}.json.gz": line * 10 for k in range(4)})
    source = Archive(path, mapped(tmp_path / "m.tsv"), max_gb=35 * len(line) / 1e9)
    with pytest.raises(DataError, match=r"3\.json\.gz: the archive inflates beyond"):
        build(source, tmp_path / "c")


@pytest.mark.parametrize("damage", ["cut", "crc", "not gzip"])
def test_broken_members_are_refused(tmp_path, damage):
    content = gzip.compress(offer(cluster_id=1, title="a" * 500) * 50)
    content = {
        "cut": content[:-20],
        "crc": content[:-8] + b"\0\0\0\0" + content[-4:],
        "not gzip": b"plain",
    }[damage]
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("a.json.gz", content)
    with pytest.raises(DataError, match=r"member 'a\.json\.gz' is broken after"):
        all_rows(Archive(tmp_path / "a.zip", mapped(tmp_path / "m.tsv")), tmp_path / "s")


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=4), st.integers(1, 64), st.booleans())
@settings(max_examples=40)
def test_gzip_of_several_parts_inflates_like_the_library_does(parts, block, padded):
    content = b"".join(gzip.compress(part) for part in parts) + b"\0" * (7 * padded)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(archive_room, "_BLOCK_BYTES", block)
        blocks = list(archive_room._inflated(io.BytesIO(content)))
    assert b"".join(blocks) == b"".join(parts)
    assert all(len(one) <= block for one in blocks)


# ------------------------------------------------------------------------------------------- tables


@pytest.mark.parametrize(
    "ending", ["csv", "tsv", "parquet", "jsonl", "jsonl.gz", "ndjson.xz", "jsonl.bz2"]
)
def test_all_formats_give_the_same_rows(tmp_path, ending):
    table = pl.DataFrame({
        "id": ["a", "b", "c"], "title": ["Rote Schuhe", 'say "hi", twice', "三"], "description": ["für Damen", None, ""],
        "category": ["Shoes", "Books", "Books"], "lang": ["de", "en", None], "cluster_id": [4, 5, 5],
    })  # fmt: skip
    path = tmp_path / f"t.{ending}"
    if ending == "csv":
        table.write_csv(path)
    elif ending == "tsv":
        table.write_csv(path, separator="\t", quote_style="never")
    elif ending == "parquet":
        table.write_parquet(path)
    else:
        opener = {"gz": gzip.open, "xz": lzma.open, "bz2": bz2.open}.get(
            ending.split(".")[-1], open
        )
        with opener(path, "wb") as file:
            file.write(b"".join(offer(**row) for row in table.iter_rows(named=True)))
    frame, read, skipped = all_rows(Table(path), tmp_path / "s")
    assert frame.drop("cluster").rows() == [
        ("a", "Rote Schuhe für Damen", "Shoes", "de"),
        ("b", 'say "hi", twice', "Books", "en"),
        ("c", "三", "Books", None),
    ]
    assert frame["cluster"].n_unique() == 2
    assert frame["cluster"][1] == frame["cluster"][2]
    assert (read, skipped) == (3, {})


def test_columns_are_named_guessed_and_refused(tmp_path):
    path = tmp_path / "t.csv"
    pl.DataFrame(
        {"name": ["x"], "title": ["y"], "notes": ["z"], "kind": ["k"], "label": ["l"]}
    ).write_csv(path)

    def first(**options):
        return all_rows(Table(path, **options), tmp_path / "s")[0].row(0)[:3]

    assert first() == ("0", "y", "l")
    assert first(columns=Columns(text=("notes", "name"), label="kind")) == ("0", "z x", "k")
    assert first(columns=Columns(text=("notes", "name"), id="kind"), titles_only=True) == (
        "k",
        "z",
        "l",
    )
    with pytest.raises(DataError, match=r"no column 'labels'; .*choose from name, title"):
        first(columns=Columns(label="labels"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.xlsx", b"x", r"\.csv, \.tsv, \.parquet"),
        ("t.parquet", b"x", "cannot be read"),
        ("t.csv", b"text,label\n\xff\xfe,a\n", "no UTF-8"),
        ("t.csv", b"", "empty"),
        ("t.jsonl.gz", b"no gzip", "cannot be read"),
        ("t.jsonl", b"broken\n", "no column for the text"),
    ],
)
def test_unreadable_tables_are_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        all_rows(Table(tmp_path / name), tmp_path / "s")


def test_saved_dataset_folders_are_read(tmp_path):
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({
        "text": datasets.Value("string"), "label": datasets.ClassLabel(names=["Books", "Shoes"]), "cluster": datasets.Value("int32"),
    })  # fmt: skip
    parts = {
        name: datasets.Dataset.from_dict(
            {"text": [f"{name} {k}" for k in range(3)], "label": [0, 1, -1], "cluster": [7, 8, 9]},
            features=features,
        )
        for name in ("train", "test", "full")
    }
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "d")
    frame, read, skipped = all_rows(DatasetFolder(tmp_path / "d"), tmp_path / "s")
    assert frame.rows() == [
        ("test:0", "test 0", "Books", None, 7), ("test:1", "test 1", "Shoes", None, 8),
        ("train:0", "train 0", "Books", None, 7), ("train:1", "train 1", "Shoes", None, 8),
    ]  # fmt: skip
    assert (read, skipped) == (6, {"no label": 2})
    parts["train"].save_to_disk(tmp_path / "one")
    assert all_rows(DatasetFolder(tmp_path / "one"), tmp_path / "s")[0].height == 2
    for wrong in (tmp_path / "s", tmp_path / "none"):
        with pytest.raises(DataError, match=r"no saved dataset|no such folder"):
            all_rows(DatasetFolder(wrong), tmp_path / "s2")


@given(st.text(), st.text(max_size=5))
def test_cleaned_texts_are_one_line_and_keep_their_letters(text, label):
    text, label = (as_text(one) for one in (text, label))
    frame = pl.DataFrame(
        {"id": ["1"], "text": [text], "label": [label], "language": [None], "cluster": [None]},
        schema_overrides={"language": pl.String, "cluster": pl.Int64},
    )
    kept, skipped = cleaned(frame)
    assert len(kept) + skipped.total() == 1
    if len(kept):
        (line,) = kept["text"]
        assert line == line.strip()
        assert not any(sign in line for sign in "\n\t\r\x00")
        assert [c for c in line if c.isalnum()] == [c for c in text if c.isalnum()]


# ------------------------------------------------------------------------------------------- debian

PACKAGES = """\
Package: zsh
Section: shells
Description-md5: aaaa

Package: zsh-doc
Source: zsh (5.9-4)
Section: doc
Description-md5: bbbb

Package: nethack-x11
Source: nethack
Section: contrib/games
Description-md5: cccc

Package: old-shell
Section: shells
Description-md5: dddd

Package: old-game
Section: games
Description-md5: dddd

Package: fish
Section: shells
Description-md5: aaaa
"""
GERMAN = """\
Package: zsh
Description-md5: aaaa
Description-de: Shell mit vielen Funktionen
 Die Zsh ist eine Shell. zsh-artig, nicht zshell.
 .
 Zweiter Absatz.

Package: zsh-doc
Description-md5: bbbb
Description-de: Dokumentation

Package: nethack-x11
Description-md5: cccc
Description-de: Spiel

Package: old-shell
Description-md5: dddd
Description-de: Übergangspaket

Package: fish
Description-md5: aaaa
Description-de: Shell mit vielen Funktionen

Package: gone
Description-md5: ffff
Description-de: Fort

Package: zsh
Description-fr: faux
"""


def lists_folder(folder, suffix=""):
    folder.mkdir()
    opener = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}.get(suffix, open)
    for name, text in (
        ("Packages", PACKAGES),
        ("i18n_Translation-de", GERMAN),
        ("i18n_Translation-pt%5fBR", GERMAN.replace("-de:", "-pt_BR:")),
    ):
        with opener(folder / f"host_dists_x_main_{name}{suffix}", "wb") as file:
            file.write(text.encode())
    return folder


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz", ".bz2"])
def test_descriptions_have_sections_as_labels_and_sources_as_clusters(tmp_path, suffix):
    folder = lists_folder(tmp_path / "lists", suffix)
    frame, read, skipped = all_rows(Debian(folder, ("de",)), tmp_path / "s")
    assert frame.drop("cluster").rows() == [
        ("zsh/aaaa/de", "Shell mit vielen Funktionen Die ist eine Shell. -artig, nicht zshell. Zweiter Absatz.", "shells", "de"),
        ("nethack-x11/cccc/de", "Spiel", "games", "de"),
    ]  # fmt: skip
    assert skipped == {
        "section doc": 1, "description shared by packages of several sections": 1,
        "description repeats that of another package": 1, "package unknown to the index": 1,
        "no package or no description": 1,
    }  # fmt: skip
    assert read == 7
    both, *_ = all_rows(Debian(folder, titles_only=True), tmp_path / "s")
    assert both["language"].to_list() == ["de", "de", "pt", "pt"]
    assert both["text"][0] == "Shell mit vielen Funktionen"
    assert both["cluster"].to_list() == both["cluster"].to_list()[:2] * 2


def test_folders_without_lists_are_refused(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        Debian(tmp_path / "none").prepared(tmp_path)
    with pytest.raises(DataError, match=r"no readable .*Acquire::Languages"):
        Debian(tmp_path).prepared(tmp_path)
    (tmp_path / "x_Packages.lz4").write_bytes(b"")
    with pytest.raises(DataError, match=r"1 of its files are \.lz4"):
        Debian(tmp_path).prepared(tmp_path)
    (tmp_path / "x_Packages").write_text(PACKAGES)
    with pytest.raises(DataError, match=r"no .*_i18n_Translation file"):
        Debian(tmp_path).prepared(tmp_path)
    with pytest.raises(DataError, match="no translation into xx; there are de, pt_BR"):
        Debian(lists_folder(tmp_path / "lists"), ("de", "xx")).prepared(tmp_path)


def test_names_are_removed_as_whole_words():
    assert without_names("C++ for c++ and objc++", {"c++"}) == "for and objc++"


# ------------------------------------------------------------------------------------------ synthetic


def test_the_catalogue_keeps_its_shares(tmp_path):
    catalogue = Catalogue(12_000, english_share=0.6, noise=0.0, seed=5)
    frame, *_ = all_rows(catalogue, tmp_path / "s")
    assert len(frame) == 12_000
    assert (frame["language"] == "en").mean() == pytest.approx(0.6, abs=0.03)
    for label, share in CLASS_SHARES.items():
        assert (frame["label"] == label).mean() == pytest.approx(share, abs=0.03)
    assert set(frame["language"]) == set(LANGUAGES)
    sizes = frame["cluster"].value_counts()["count"]
    assert (sizes.min(), sizes.max()) == (1, 4)
    assert frame["id"].n_unique() == len(frame)


def test_no_label_is_wrong_without_noise_and_as_many_as_asked_with_it(tmp_path):
    plain, *_ = all_rows(
        Catalogue(8000, noise=0.0, difficulty=0.0, english_share=1.0), tmp_path / "s"
    )
    words = {label: [w["en"] for w in vocabulary()[label]] for label in CLASS_SHARES}

    def wrong(frame):
        named = [
            any(word in text.lower() for word in words[label])
            for text, label in zip(frame["text"], frame["label"], strict=True)
        ]
        return 1 - np.mean(named)

    assert wrong(plain) == 0
    noisy, *_ = all_rows(
        Catalogue(8000, noise=0.2, difficulty=0.0, english_share=1.0), tmp_path / "s"
    )
    assert wrong(noisy) == pytest.approx(0.2, abs=0.03)
    hard, *_ = all_rows(
        Catalogue(8000, noise=0.0, difficulty=0.3, english_share=1.0), tmp_path / "s"
    )
    assert wrong(hard) == pytest.approx(0.3, abs=0.03)


def test_the_catalogue_is_neither_trivial_nor_hopeless(tmp_path):
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score

    corpus = build(Catalogue(6000), tmp_path / "c")
    train, test = corpus.part("train"), corpus.part("test")
    model = TfidfVectorizer(sublinear_tf=True)
    fitted = LogisticRegression(C=10, max_iter=300).fit(
        model.fit_transform(train.texts.to_list()), train.y
    )
    score = f1_score(test.y, fitted.predict(model.transform(test.texts.to_list())), average="macro")
    assert 0.75 < score < 0.95


def test_every_word_of_the_catalogue_is_in_every_language():
    for role, words in vocabulary().items():
        assert len(words) >= 5, role
        for word in words:
            assert list(word) == list(LANGUAGES)
            assert all(isinstance(one, str) and one.strip() for one in word.values())


# -------------------------------------------------------------------------------------- command line


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        main(["text", *map(str, arguments)])
    note = capsys.readouterr()
    return end.value.code, note.out, note.err


def test_verbs_build_and_show(tmp_path, capsys):
    out = tmp_path / "c"
    code, text, _ = run(
        capsys,
        "build",
        "--synthetic",
        "--rows",
        1500,
        "--noise",
        0.1,
        "--english-share",
        0.5,
        "--out",
        out,
    )
    assert code == 0
    assert "Clothing" in text
    assert "near duplicates · joined" in text
    code, text, _ = run(capsys, "show", out, "--json", "--verify")
    note = json.loads(text)
    assert (code, note["digest"]) == (0, load_corpus(out).digest)
    assert note["provenance"]["source"] == {
        "kind": "synthetic",
        "rows": 1500,
        "english_share": 0.5,
        "noise": 0.1,
        "difficulty": 0.1,
        "seed": 42,
    }
    assert "thinned_out" in note["reports"]


def test_verbs_read_tables_and_archives(tmp_path, capsys):
    table_of(200).rename({"text": "t", "label": "k"}).write_csv(tmp_path / "t.csv")
    code, text, _ = run(
        capsys,
        "build",
        "--table",
        tmp_path / "t.csv",
        "--text-column",
        "t",
        "--label-column",
        "k",
        "--no-add-language",
        "--out",
        tmp_path / "c",
        "--json",
    )
    assert (code, sum(json.loads(text)["statistics"]["rows"].values())) == (0, 200)
    lines = b"".join(
        offer(cluster_id=k, title=f"title {k * 7919 % 10007} of {k}") for k in range(300)
    )
    zipped(tmp_path / "a.zip", {"a.json.gz": lines})
    mapped(tmp_path / "m.tsv", "".join(f"{k}\t{CATEGORIES[k % 4]}\n" for k in range(300)))
    code, text, _ = run(
        capsys,
        "build",
        "--zip",
        tmp_path / "a.zip",
        "--map",
        tmp_path / "m.tsv",
        "--similarity",
        0,
        "--out",
        tmp_path / "d",
        "--json",
    )
    assert (code, json.loads(text)["classes"]) == (0, sorted(CATEGORIES[:4]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "one source is needed, none came"),
        (["--synthetic", "--table", "x.csv"], "--table and --synthetic came"),
        (["--synthetic", "--max-chars", "5"], "--max-chars is no option of --synthetic"),
        (["--zip", "x.zip"], "--zip needs --map"),
        (["--table", "none.csv"], "none.csv: no such file"),
        (["--dataset", "none"], "none: no such folder"),
        (["--debian", "none"], "none: no such folder"),
        (["--synthetic", "--rows", "0"], "rows 0: a whole number of at least 1"),
        (["--synthetic", "--noise", "2"], "noise 2"),
        (["--synthetic", "--rows", "2"], "a single class|no training text|is empty|clusters"),
        (["--synthetic", "--test-size", "1"], "test 1"),
    ],
)
def test_mistakes_are_one_line(tmp_path, monkeypatch, capsys, arguments, message):
    import re

    monkeypatch.chdir(tmp_path)
    code, _, note = run(capsys, "build", *arguments, "--out", "c")
    assert code == 2
    assert note.count("\n") == 1
    assert re.search(message, note), note
    assert not Path("c").exists()


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    code, _, note = run(capsys, "build", "--synthetic", "--out", tmp_path / "file" / "c")
    assert (code, note.count("\n")) == (2, 1)
    code, _, note = run(capsys, "show", tmp_path)
    assert (code, note.count("\n")) == (2, 1)
    assert "`trueness text build` makes one" in note


def test_statistics_of_nothing_are_zeros(corpus):
    from trueness.text.shards import rows_of_shards

    folder = corpus.folder.parent / "empty-shards"
    folder.mkdir(exist_ok=True)
    frame = pl.DataFrame(schema={**COLUMNS, "given": pl.Boolean, "characters": pl.Int32})
    frame.write_parquet(folder / "0.parquet")
    note = statistics(rows_of_shards(folder))
    assert note["rows"] == dict.fromkeys(PARTS, 0)
    assert note["characters"] == {}


# --------------------------------------------------------------------------------- sizes of the parts


def test_sizes_are_chosen_so_that_languages_become_slices(tmp_path):
    source = Catalogue(4000, english_share=0.5)
    chosen = build(source, tmp_path / "chosen", Plan(threshold=None))
    plan = chosen.provenance["plan"]
    assert chosen.reports["chosen_sizes"] == ["validation", "test"]
    assert (plan["validation"], plan["test"]) > (0.05, 0.10)
    for parts in chosen.statistics["languages"].values():
        whole = sum(parts.values())
        assert parts["validation"] >= 100 or needed(whole) > LARGEST["validation"]
        assert parts["test"] >= 100 or needed(whole) > LARGEST["test"]
    same = Plan(plan["validation"], plan["test"], threshold=None)
    again = build(source, tmp_path / "given", same)
    assert again.digest == chosen.digest
    assert again.reports["chosen_sizes"] == []
    note = size_notes((), plan, {"en": {"validation": 60, "test": 120, "train": 500}})
    assert "--val-size 0.16" in note[1]
    assert "--test-size" not in note[1]
    few = {"ja": {"validation": 6, "test": 9, "train": 50}}
    assert "any size" in size_notes((), plan, few)[-1]
