"""What was simulated: rows of a promise in a case, and the file of a run that goes on."""

import hashlib
import inspect
import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

import polars as pl

from tests.simulations import generators
from tests.simulations.experiments import Case, Experiment, Tally
from tests.simulations.promises import EXPERIMENTS
from trueness import evaluation

HERE = Path(__file__).parent
TABLE = HERE / "promises.csv"
"""The committed results."""
CHUNKS = 10
"""Parts in which the repetitions of a case are simulated."""
Results: TypeAlias = dict[tuple[str, str, int], Tally]
"""By promise, case and number of days or texts."""


@dataclass(frozen=True)
class Chunk:
    """Some repetitions of one case."""

    experiment: str
    case: Case
    first: int
    repetitions: int


def chunks(experiments: Iterable[Experiment], *, quick: bool = False) -> list[Chunk]:
    """What is to be simulated: the first part of every case, then the second, and so on."""
    return [
        Chunk(one.name, case, part * one.repetitions // CHUNKS, one.repetitions // CHUNKS)
        for part in range(1 if quick else CHUNKS)
        for one in experiments
        for case in one.cases
    ]


def simulated(chunk: Chunk, until: float = float("inf")) -> tuple[Chunk, dict[str, Tally] | None]:
    """The tallies of a chunk by promise; None after a time of the monotonic clock."""
    if time.monotonic() > until:
        return chunk, None
    (experiment,) = (one for one in EXPERIMENTS if one.name == chunk.experiment)
    return chunk, experiment.simulate(chunk.case, chunk.repetitions, chunk.first)


def add(results: Results, chunk: Chunk, tallies: dict[str, Tally]) -> None:
    """Count a chunk among the results."""
    for name, tally in tallies.items():
        key = (name, chunk.case.name, chunk.case.n)
        results[key] = results.get(key, Tally()) + tally


# --------------------------------------------------------------------------------------- files


def partial_file() -> Path:
    """Where a run keeps its chunks until it ends; another one if what they show was changed."""
    digest = hashlib.blake2b(digest_size=6)
    judges = {inspect.getfile(one.judge) for one in EXPERIMENTS}
    own = {inspect.getfile(Experiment), inspect.getfile(generators.Setting), *judges}
    for file in sorted(map(Path, own)) + sorted(Path(evaluation.__path__[0]).glob("*.py")):
        digest.update(file.read_bytes())
    return HERE / f".promises-{digest.hexdigest()}.jsonl"


def keep(file: Path, chunk: Chunk, tallies: dict[str, Tally]) -> None:
    """Add a chunk to the file of a run."""
    line = {"chunk": asdict(chunk), "tallies": {n: asdict(t) for n, t in tallies.items()}}
    with file.open("a", encoding="utf-8") as out:
        out.write(json.dumps(line) + "\n")


def kept(file: Path) -> dict[Chunk, dict[str, Tally]]:
    """Chunks of a run that ended early; a line that was cut off is left out."""
    actual = {}
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else []:
        try:
            content = json.loads(line)
        except json.JSONDecodeError:
            continue
        facts = content["chunk"]
        chunk = Chunk(**(facts | {"case": Case(**facts["case"])}))
        actual[chunk] = {name: Tally(**one) for name, one in content["tallies"].items()}
    return actual


def write(results: Results, file: Path = TABLE) -> None:
    """The results as a table, sorted."""
    rows = [
        {"promise": promise, "case": case, "n": n, **asdict(tally)}
        for (promise, case, n), tally in sorted(results.items())
    ]
    pl.DataFrame(rows).with_columns(pl.col("total", "squares").round(6)).write_csv(file)


def read(file: Path = TABLE) -> Results:
    """Results of a table; none where there is no file."""
    if not file.exists():
        return {}
    rows = pl.read_csv(file, schema_overrides={"total": pl.Float64, "squares": pl.Float64})
    return {
        (row.pop("promise"), row.pop("case"), row.pop("n")): Tally(**row)
        for row in rows.iter_rows(named=True)
    }
