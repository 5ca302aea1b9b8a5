"""Verbs about corpora of titles: text build, text show."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from trueness.cli.options import Number, StrictInt, progress
from trueness.cli.output import DEFAULT, Output, check, present
from trueness.errors import TruenessError

if TYPE_CHECKING:
    from trueness.text.corpus import Corpus
    from trueness.text.sources import Source


text_app = App(name="text", help="Titles in many languages.", help_format="plaintext")
for _where in ("text_training:train", "text_use:evaluate", "text_use:latency"):
    text_app.command(f"trueness.cli.{_where}")
WholeOrNone = Annotated[int | None, Parameter(converter=StrictInt.__metadata__[0].converter)]


@Parameter(name="*", negative=())
@dataclass(frozen=True)
class SourceOptions:
    """Where texts come from: one of the first five, and the options that it takes.

    Parameters
    ----------
    zip
        Product-corpus archive: a zip of .json.gz members; with --map.
    table
        CSV, TSV, Parquet or JSONL file.
    dataset
        Folder that Hugging Face datasets saved with save_to_disk.
    debian
        Folder of index files of the package client, such as /var/lib/apt/lists.
    synthetic
        Catalogue of invented products in seven languages.
    map
        Lines of a cluster, a tab and its category, for --zip.
    max_gb
        Most gigabytes --zip may inflate to; 1000 by default.
    text_column
        Of --table and --dataset; repeatable, joined with spaces. Guessed like the others: text, or
        title and description.
    label_column
        label, category or class by default.
    parent_column
        Level above the label, where classes are paths; repeatable, the outermost first.
    hierarchy
        What stands between the levels where the label is a path, as in Home > Garden.
    field
        Column of text that models read behind the title, such as brand; repeatable, in this order.
    number
        Column of numbers that models read as tenths, such as price; repeatable, after the fields.
    fields_of
        Corpus whose fields, numbers and tenths are taken.
    language_column
        language or lang by default, if there is one.
    cluster_column
        cluster or cluster_id by default, if there is one; texts of a cluster stay together.
    id_column
        id by default, if there is one.
    languages
        Of --debian, as in the names of its files: en,de,pt_BR. All by default.
    separator
        Of --table: what stands between the cells of a text; recognised by default.
    titles_only
        Without descriptions; of several text columns the first.
    max_chars
        Longer texts are cut.
    rows
        Offers of --synthetic; 20000 by default.
    noise
        Fraction of its products with a wrong label; 0.02 by default.
    difficulty
        Fraction of its offers that do not name the thing; 0.1 by default.
    """

    zip: Path | None = None
    table: Path | None = None
    dataset: Path | None = None
    debian: Path | None = None
    synthetic: bool | None = None
    map: Path | None = None
    max_gb: Number | None = None
    text_column: tuple[str, ...] | None = None
    label_column: str | None = None
    parent_column: tuple[str, ...] | None = None
    hierarchy: str | None = None
    field: tuple[str, ...] | None = None
    number: tuple[str, ...] | None = None
    fields_of: Path | None = None
    language_column: str | None = None
    cluster_column: str | None = None
    id_column: str | None = None
    languages: str | None = None
    separator: str | None = None
    titles_only: bool | None = None
    max_chars: WholeOrNone = None
    rows: WholeOrNone = None
    noise: Number | None = None
    difficulty: Number | None = None


_COLUMNS = ("text_column", "label_column", "language_column", "cluster_column", "id_column")
_TREE = {"parent_column": "parents", "hierarchy": "hierarchy"}
_FIELDS = ("field", "number", "fields_of")
_TEXT_LIMITS = ("titles_only", "max_chars")
TAKES = {
    "zip": ("map", "max_gb", *_TEXT_LIMITS),
    "table": (*_COLUMNS, *_TREE, *_FIELDS, "separator", *_TEXT_LIMITS),
    "dataset": (*_COLUMNS, *_TREE, *_FIELDS, *_TEXT_LIMITS),
    "debian": ("languages", *_TEXT_LIMITS),
    "synthetic": ("rows", "noise", "difficulty"),
}
"""Source -> options it takes."""


@text_app.command
def build(
    *,
    origin: SourceOptions | None = None,
    out: Path,
    val_size: Number | None = None,
    test_size: Number | None = None,
    seed: StrictInt = 42,
    add_language: bool = True,
    gate: float = 0.5,
    similarity: float = 0.8,
    min_class_rows: WholeOrNone = None,
    english_share: Number | None = None,
    full: bool = False,
    workers: StrictInt = 1,
    output: Output = DEFAULT,
) -> int:
    """Make a corpus: clean texts, languages, near-duplicates in one cluster, splits by cluster.

    Example: trueness text build --zip lspcV2020.zip --map PDC2020_map.tsv --out corpus

    Parameters
    ----------
    out
        Folder of the corpus; an older corpus there is replaced.
    val_size
        Fraction of the texts for validation. By default 0.05, or up to 0.15 where that makes more
        languages slices, of 100 texts each.
    test_size
        Fraction of the texts for the test. By default 0.1, or up to 0.2 likewise.
    seed
        Of splits, of the synthetic catalogue, and of what --english-share leaves out.
    add_language
        Tell the language of texts whose source gives none.
    gate
        Least confidence of a language; below it, it is und.
    similarity
        From which texts are near-duplicates (Jaccard, five characters); 0 looks for none.
    min_class_rows
        Classes with fewer texts are left out; 2000 for --debian, else 1, by default.
    english_share
        Fraction of English to which the train part is thinned out; of --synthetic, in all.
    full
        Also write full.parquet with all rows; nothing trains on it.
    workers
        Processes that read, 0 for this one; the corpus does not depend on it.
    """
    from trueness.text.building import Plan
    from trueness.text.building import build as build_corpus

    check(output)
    source = _source(origin or SourceOptions(), seed, english_share)
    made = origin is not None and origin.synthetic
    plan = Plan(
        validation=val_size, test=test_size, seed=seed, detect=add_language, gate=gate,
        threshold=similarity or None, min_class_rows=min_class_rows,
        english_share=None if made else english_share, full=full, workers=workers,
    )  # fmt: skip
    with progress() as shown:
        corpus = build_corpus(source, out, plan, shown)
    _present(corpus, output)
    return 0


@text_app.command
def show(corpus: Path, /, *, verify: bool = False, output: Output = DEFAULT) -> int:
    """Show a corpus: texts per class and language, what was skipped, joined and left out.

    Example: trueness text show corpus

    Parameters
    ----------
    corpus
        Folder that trueness text build wrote.
    verify
        Compare every value with the digest.
    """
    from trueness.text.corpus import load_corpus

    check(output)
    loaded = load_corpus(corpus)
    if verify:
        loaded.verify()
    _present(loaded, output)
    return 0


def _source(origin: SourceOptions, seed: int, english_share: float | None) -> Source:
    """The one source that the options name.

    Raises
    ------
    TruenessError
        If they name none or several, or an option that the source does not take.
    """
    passed = {f.name: getattr(origin, f.name) for f in fields(origin)}
    passed = {
        name: value for name, value in passed.items() if value is not None and value is not False
    }
    named = [name for name in TAKES if name in passed]
    if len(named) != 1:
        came = " and ".join(f"--{name}" for name in named) or "none"
        raise TruenessError(f"one source is needed, {came} came; give one of "
                            + ", ".join(f"--{name}" for name in TAKES))  # fmt: skip
    kind = named[0]
    options = {name: value for name, value in passed.items() if name != kind}
    for name in options:
        if name not in TAKES[kind]:
            taken = ", ".join(_flag(one) for one in TAKES[kind])
            raise TruenessError(f"{_flag(name)} is no option of --{kind}, which takes {taken}")
    if kind == "synthetic":
        options |= {"seed": seed} | ({} if english_share is None else {
            "english_share": english_share})  # fmt: skip
    return _SOURCES[kind](passed[kind], options)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _archive(path: Path, options: dict[str, Any]) -> Source:
    from trueness.text.archive import Archive

    if "map" not in options:
        raise TruenessError("--zip needs --map: a file of clusters and their categories")
    return Archive(path, **options)


def _table(path: Path, options: dict[str, Any]) -> Source:
    from trueness.text.tables import Table

    return Table(path, **_columns(options))


def _dataset(path: Path, options: dict[str, Any]) -> Source:
    from trueness.text.tables import DatasetFolder

    return DatasetFolder(path, **_columns(options))


def _columns(options: dict[str, Any]) -> dict[str, Any]:
    from trueness.text.tables import Columns

    fields_of = {name: name.removesuffix("_column") for name in _COLUMNS} | _TREE
    named = {field: options[name] for name, field in fields_of.items() if name in options}
    rest = {name: options[name] for name in (*_TEXT_LIMITS, "separator") if name in options}
    return {"columns": Columns(**named, **_fields(options)), **rest}


def _fields(options: dict[str, Any]) -> dict[str, Any]:
    """Fields and numbers that are named, or those of another corpus."""
    if "fields_of" not in options:
        numbers = {name: () for name in options.get("number", ())}
        return {"fields": tuple(options.get("field", ())), "numbers": numbers}
    if "field" in options or "number" in options:
        raise TruenessError("--fields-of names the fields; leave out --field and --number")
    from trueness.text.corpus import load_corpus

    known = load_corpus(options["fields_of"]).columns
    if not (known.get("fields") or known.get("numbers")):
        raise TruenessError(f"{options['fields_of']} has no fields; leave out --fields-of",
                            "fields")  # fmt: skip
    return {"fields": tuple(known["fields"]), "numbers": known["numbers"]}


def _debian(path: Path, options: dict[str, Any]) -> Source:
    from trueness.text.debian import Debian

    codes = options.pop("languages", "")
    return Debian(path, tuple(c.strip() for c in codes.split(",") if c.strip()), **options)


def _synthetic(wanted: bool, options: dict[str, Any]) -> Source:
    from trueness.text.synthetic import Catalogue

    del wanted
    return Catalogue(**options)


_SOURCES = {
    "zip": _archive,
    "table": _table,
    "dataset": _dataset,
    "debian": _debian,
    "synthetic": _synthetic,
}


def _present(corpus: Corpus, output: Output) -> None:
    from trueness.judge.corpora import CorpusSummary

    present(CorpusSummary(corpus), output)
