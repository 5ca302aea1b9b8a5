"""The reader of tables: whatever a table is written as, its rows come back or are counted."""

import bz2
import gzip
import json
import lzma
import math
import os
import zipfile
from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from trueness.errors import DataError
from trueness.reading import as_numbers, names_of, portions, read_table, typed
from trueness.reading.opening import LONGEST_LINE
from trueness.reading.tables import MOST_COLUMNS

BARS = "Date,Open,High,Low,Close\n2020-01-06,10,11,9,10\n2020-01-07,10,11,9,10\n"
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-32")
PACKED = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
CELLS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=8)


def refused(code, path, **options):
    with pytest.raises(DataError) as error:
        read_table(path, **options)
    assert error.value.code == code
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)
    return str(error.value)


def written(tmp_path, name, content, encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


def missing_or(cell):
    return cell if cell.strip() else None


@st.composite
def tables(draw):
    """Names and rows, two columns at least, the first of which is never blank."""
    names = [f"n{i}" for i in range(draw(st.integers(2, 4)))]
    row = st.tuples(CELLS.map(lambda text: "x" + text), *[CELLS] * (len(names) - 1))
    return names, draw(st.lists(row, min_size=1, max_size=30))


@given(
    tables(), st.sampled_from(ENCODINGS), st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["\n", "\r\n", "\r"]), st.sampled_from(list(PACKED)),
    st.integers(0, 3), st.booleans(), st.integers(1, 40),
)  # fmt: skip
def test_a_table_reads_back_equal(
    tmp_path_factory, table, encoding, mark, end, packed, blank, said, rows
):
    names, cells = table
    lines = [f"sep={mark}"] * said + [mark.join(names)]
    lines += [mark.join('"' + cell.replace('"', '""') + '"' for cell in row) for row in cells]
    content = (end.join(lines) + end + end * blank).encode(encoding)
    path = tmp_path_factory.mktemp("t") / f"a.csv{packed}"
    path.write_bytes(PACKED[packed](content))
    expected = pl.DataFrame(
        {n: [missing_or(row[i]) for row in cells] for i, n in enumerate(names)},
        schema=dict.fromkeys(names, pl.String),
    )
    actual = read_table(path)
    assert_frame_equal(actual.frame, expected)
    assert actual.read == len(cells) + blank
    assert actual.lines.tolist() == list(range(2 + said, 2 + said + len(cells)))
    assert bool(actual.notes) == (mark != ",")
    parts = list(portions(path, rows=rows))
    assert_frame_equal(pl.concat([one.frame for one in parts]), expected)
    assert sum(one.read for one in parts) == actual.read
    assert max(len(one.frame) for one in parts) <= rows
    assert names_of(path) == names


@given(st.lists(st.dictionaries(
    st.sampled_from("abcd"),
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | st.just(math.nan) | CELLS,
), max_size=20))  # fmt: skip
def test_json_lines_have_the_columns_of_all_records(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("t") / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    actual = read_table(path)
    assert set(actual.frame.columns) == {name for row in rows for name in row}
    assert len(actual.frame) == actual.read == (len(rows) if actual.frame.width else 0)
    for name in actual.frame.columns:
        for row, value in zip(rows, actual.frame[name], strict=True):
            one = row.get(name)
            lost = one is None or one != one or (isinstance(one, str) and not one.strip())
            assert (value is None) == lost


# -------------------------------------------------------------------------------------- by example


def test_an_archive_of_one_file(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("deep/bars.csv", BARS)
        archive.writestr("__MACOSX/._bars.csv", "x")
    assert len(read_table(path).frame) == 2
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("more.csv", BARS)
    refused("archive", path)


def test_zstandard(tmp_path):
    pa = pytest.importorskip("pyarrow")
    path = tmp_path / "a.csv.zst"
    with pa.output_stream(str(path), compression="zstd") as file:
        file.write(BARS.encode())
    assert len(read_table(path).frame) == 2


def test_blank_lines_behind_a_full_portion_are_counted(tmp_path):
    path = written(tmp_path, "a.csv", "a,b\n1,2\n3,4\n\n")
    assert [one.read for one in portions(path, rows=1)] == [1, 1, 1]
    assert read_table(path).read == 3


def test_tabs_have_no_quotes(tmp_path):
    rows = [f"shoe {i}\twine" for i in range(100)]
    rows[10], rows[90] = '"shoe\twine', 'shoe 24"\twine'
    actual = read_table(written(tmp_path, "a.tsv", "title\tcategory\n" + "\n".join(rows)))
    assert (len(actual.frame), actual.frame["title"][10]) == (100, '"shoe')


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        ('a,b\n1,2\n"3,4\n5,6"\n7,8\n', "quotes", "line 3"),
        ('a,b\n1,2\n"3,4\n5,6\n', "quotes", "line 3"),
        ('a,b\n1,"2"x\n', "quotes", "line 2"),
        ("a,b\n1,2\n3\n", "row_length", "line 3"),
        ("a,b\n1,2\n3,4,5\n", "row_length", "line 3"),
        ("a,a\n1,2\n", "doubled_column", "'a'"),
        ("", "empty", ""),
        ("\n \n", "empty", ""),
        (b"a,b\n1,2\nM\xf6bel,4\n", "encoding", "line 3: byte 0xf6"),
        (b"a,b\n1,2\n\x81\x8d,4\n", "encoding", "line 3: byte 0x81"),
        ("a,b\n1,2\n".encode("utf-16-le"), "encoding", "line 1"),
        ("a,b\r1,2\n3,4\n", "line_ends", "line 1"),
        ("a,b\n1,2\r3,4\n", "line_ends", "line 2"),
        ("a,b,\n1,2,\n3,4,5\n", "no_name", "line 3"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0), "unreadable", ".gz"),
        (b"PK\x03\x04 a workbook", "unreadable", "Excel"),
        ("a,b\n" + "x" * (LONGEST_LINE + 1) + ",2\n", "unreadable", "line of more than"),
    ],
)
def test_what_is_refused_names_its_line(tmp_path, content, code, words):
    assert words in refused(code, written(tmp_path, "a.csv", content))


def test_a_quoted_cell_may_hold_line_ends_that_swallow_no_row(tmp_path):
    path = written(tmp_path, "a.csv", 'a,b,c\n1,"two\nlines, one comma",3\n4,5,6\n')
    actual = read_table(path)
    assert actual.frame["b"].to_list() == ["two\nlines, one comma", "5"]
    assert actual.lines.tolist() == [2, 4]


def test_files_that_are_none(tmp_path):
    refused("no_file", tmp_path / "a.csv")
    refused("suffix", written(tmp_path, "a.xlsx", b""))
    refused("unreadable", written(tmp_path, "a.csv.gz", b"no gzip"))
    refused("unreadable", written(tmp_path, "a.parquet", b"no parquet"))
    refused("unreadable", written(tmp_path, "a.jsonl", "no json\n"))
    refused("unreadable", written(tmp_path, "a.zip", b"no zip"))
    with pytest.raises(DataError) as error:
        read_table(written(tmp_path, "b.csv", BARS), separator=";;")
    assert error.value.code == "separator"


def test_a_separator_that_is_given_counts(tmp_path):
    path = written(tmp_path, "a.csv", "a:b,c\n1:2,3\n")
    assert read_table(path, separator=":").frame.columns == ["a", "b,c"]


def test_broken_records_are_counted(tmp_path):
    actual = read_table(written(tmp_path, "a.jsonl", '{"a": 1}\n{"a": \n[1]\n{"a": 2}\n'))
    assert actual.frame["a"].to_list() == [1, 2]
    assert (actual.read, actual.skipped) == (4, {"broken JSON": 1, "no JSON object": 1})
    assert len(actual.all_notes("a")) == 2
    with pytest.raises(DataError, match="1 lines cannot be read") as error:
        actual.entire("a")
    assert error.value.code == "skipped"
    blank = read_table(written(tmp_path, "a.csv", "a,b\n1,2\n\n"))
    assert len(blank.entire("a")) == 1


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_json_lines_may_begin_with_a_byte_order_mark(tmp_path, encoding):
    path = written(tmp_path, "a.jsonl", '{"a": "ä"}\n{"a": "b"}\n', encoding)
    assert read_table(path).frame["a"].to_list() == ["ä", "b"]
    assert names_of(path) == ["a"]


def test_a_record_that_has_a_name_twice_is_counted(tmp_path):
    actual = read_table(written(tmp_path, "a.jsonl", '{"a": 1}\n{"a": 2, "a": 3}\n'))
    assert (actual.frame["a"].to_list(), actual.skipped.total()) == ([1], 1)


@pytest.mark.parametrize(
    "values", [[1.5, 2**53 + 1], [2**64, 1], [2**64 - 1, -1], [1, 2**130], [10**400, 0.5]]
)
def test_large_numbers_of_json_keep_their_digits(tmp_path, values):
    lines = "".join(json.dumps({"a": one}) + "\n" for one in values)
    actual = read_table(written(tmp_path, "a.jsonl", lines)).frame["a"]
    assert [str(one) for one in actual] == [str(one) for one in values]


def test_an_empty_name_of_json_stays_empty(tmp_path):
    assert read_table(written(tmp_path, "a.jsonl", '{"": 1, "b": 2}\n')).frame.columns == ["", "b"]


def test_empty_columns_at_the_end_need_no_name(tmp_path):
    actual = read_table(written(tmp_path, "a.csv", "a,b,, \n1,2,,\n3,4, ,\n"))
    assert actual.frame.rows() == [("1", "2"), ("3", "4")]
    assert "2 empty columns" in actual.notes[0]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet", "a.zip"])
def test_pipes_and_devices_are_no_tables(tmp_path, name):
    os.mkfifo(tmp_path / name)
    assert "pipe" in refused("unreadable", tmp_path / name)


def stored(path, times):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.table({"t": times(pa)}), path)
    return path


def test_times_of_parquet_have_a_zone_that_is_known(tmp_path):
    noon = datetime(2020, 1, 1, 12, tzinfo=UTC)
    path = tmp_path / "a.parquet"
    for zone in ("+05:30", "Mars/Base"):
        stored(path, lambda pa, zone=zone: pa.array([noon], pa.timestamp("us", zone)))
        assert zone in refused("time_zone", path)
    stored(path, lambda pa: pa.array([noon, None], pa.timestamp("us", "-05:00")))
    actual = read_table(path).frame["t"]
    assert actual.to_list() == [noon, None]
    assert actual.dt.hour()[0] == 7


def test_dates_of_parquet_have_a_year_of_four_digits(tmp_path):
    path = tmp_path / "a.parquet"
    for value, us in ((2_932_897, False), (-719_163, False), (2**62, True)):
        stored(path, lambda pa, v=value, us=us: pa.array(
            [v, None], pa.timestamp("us") if us else pa.date32()))  # fmt: skip
        refused("date_range", path)
    stored(path, lambda pa: pa.array([2_932_896, -719_162], pa.date32()))
    assert read_table(path).frame["t"].dt.year().to_list() == [9999, 1]


def test_many_names_need_a_choice(tmp_path):
    lines = [json.dumps({"text": i, **{f"f{i}_{j}": j for j in range(100)}}) for i in range(200)]
    path = written(tmp_path, "a.jsonl", "\n".join(lines))
    assert MOST_COLUMNS < 200 * 100
    refused("columns", path)
    assert names_of(path, {"text", "label"}) == ["text"]
    frame = pl.concat([one.frame for one in portions(path, ["text", "label"], rows=90)])
    assert frame["text"].to_list() == list(range(200))
    assert frame["label"].null_count() == 200


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "NA", ""], pl.Int64), (["1", "2.5", "nan"], pl.Float64), (["true", "False"], pl.Boolean),
        (["2024-12-31", None], pl.Date), (["2024-12-31 10:00", "2024-12-31T11:00:00"], pl.String),
        (["2024-12-31 10:00"], pl.Datetime("us")), (["2024-12-31T10:00:00Z"], pl.Datetime("us", "UTC")),
        (["10:30:00"], pl.Time), (["1", "x"], pl.String), (["NA"], pl.String), ([None], pl.String),
        (["1" * 25], pl.String), (["31/12/2024"], pl.String), ([str(2**63)], pl.UInt64),
        (["7", "007"], pl.String), (["0", "0.7", "-0"], pl.Float64),
    ],
)  # fmt: skip
def test_types_of_text(cells, kind):
    assert typed(pl.DataFrame({"a": pl.Series(cells, dtype=pl.String)})).dtypes == [kind]


def test_numbers_are_missing_by_one_rule():
    words = ["1", "", " ", "NA", "n/a", "#N/A", "NaN", "null", "None", None]
    assert as_numbers(pl.Series(words)).to_list() == [1, *[None] * 9]
    assert as_numbers(pl.Series([1.0, math.nan])).to_list() == [1.0, None]
    assert as_numbers(pl.Series(["1", "x"])) is None
