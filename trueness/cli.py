"""The command line: one verb, one call of the API. Rooms are loaded when a verb needs them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

from cyclopts import App, CycloptsError, Parameter

from trueness.errors import TruenessError

if TYPE_CHECKING:
    from rich.console import Console

    from trueness.campaign import Campaign
    from trueness.store import Run, Store

EXIT_REFUSED, EXIT_INTERRUPTED = 2, 130
DEFAULT_STORE = Path("store")
ROWS_SHOWN = 50

app = App(
    name="trueness",
    help="Which classifier of rare events really is better? "
    "Precision first, no number without its interval.",
    help_format="plaintext",
    help_epilogue="A mistake prints one line and exits with status 2; --trace shows more.",
    version_flags=["--version"],
)
data_app = App(name="data", help="Look at daily bars before using them.", help_format="plaintext")
app.command(data_app)
features_app = App(
    name="features", help="List, build or audit indicators.", help_format="plaintext"
)
app.command(features_app)

Store_ = Annotated[Path, Parameter(name="--store", help="Folder of stored runs.")]
Json = Annotated[bool, Parameter(name="--json", negative=(), help="Print JSON instead of tables.")]
Data = Annotated[
    str | None, Parameter(name="--data", help="sp500, synthetic, or a CSV or Parquet file.")
]
Vix = Annotated[
    str | None, Parameter(name="--vix", help="CSV or Parquet file of a volatility index.")
]
Ids = Annotated[
    list[str] | None, Parameter(name="--id", negative=(), help="Only this experiment; repeatable.")
]
Priorities = Annotated[
    list[str] | None,
    Parameter(name="--priority", negative=(), help="Only this priority; repeatable."),
]
Tiers = Annotated[
    list[str] | None, Parameter(name="--tier", negative=(), help="Only this tier; repeatable.")
]
Protocol = Annotated[
    Literal["mission", "walk_forward"] | None,
    Parameter(name="--protocol", help="In place of the campaign's own."),
]
Seeds = Annotated[int, Parameter(name="--seeds", help="Replicates of every experiment.")]


# -------------------------------------------------------------------------------------------- verbs


@app.command
def run(
    campaign: str,
    /,
    *,
    ids: Ids = None,
    priorities: Priorities = None,
    tiers: Tiers = None,
    seeds: Seeds = 1,
    protocol: Protocol = None,
    data: Data = None,
    vix: Vix = None,
    store: Store_ = DEFAULT_STORE,
    device: str = "auto",
    workers: int | None = None,
    report: Path | None = None,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
    as_json: Json = False,
) -> int:
    """Train what is missing of a campaign, baselines first, and print the leaderboard.

    Runs that are stored already are not trained again, so an interrupted call goes on where it
    stopped.

    Example: trueness run demo --report report.html

    Parameters
    ----------
    campaign
        A bundled campaign (trueness list) or a YAML file.
    device
        auto, cpu, cuda or mps.
    workers
        Processes on a CPU, one thread each; all cores by default.
    report
        Also write an HTML page to this file.
    dry_run
        Print parameters, split sizes with positives and estimated work; train and write nothing.
    """
    from trueness.report import leaderboard, write_page
    from trueness.report.tables import show_leaderboard
    from trueness.run import run as run_campaign

    chosen, opened = (
        _campaign(campaign, ids, priorities, tiers, seeds, protocol, data, vix),
        _store(store),
    )
    if dry_run:
        return _dry_run(chosen, opened, as_json)
    _check_output(report)
    console = _console()
    for key, twins in chosen.twins().items():
        _console(err=True).print(f"{' = '.join(twins)}: one run, {key}", highlight=False)
    with _listener() as listener:
        summary = run_campaign(chosen, opened, device=device, workers=workers, listener=listener)
    board = leaderboard(opened, chosen.name)
    if as_json:
        _print_json({"campaign": chosen.name, **vars(summary), **board.to_dict()})
    else:
        for note in summary.notes:
            console.print(f"note: {note}", highlight=False)
        console.print(
            f"{len(summary.trained)} trained, {len(summary.reused)} there already, "
            f"{len(summary.failed)} failed\n"
        )
        show_leaderboard(console, board, ROWS_SHOWN)
    if report is not None and board.arenas:
        write_page(board, report, chosen.title)
        _console(err=True).print(f"report: {report}", highlight=False)
    if summary.interrupted:
        _console(err=True).print("interrupted; call again to go on", style="yellow")
        return EXIT_INTERRUPTED
    return 1 if summary.failed else 0


@app.command(name="list")
def list_(
    campaign: str | None = None,
    /,
    *,
    ids: Ids = None,
    priorities: Priorities = None,
    tiers: Tiers = None,
    protocol: Protocol = None,
    data: Data = None,
    vix: Vix = None,
    as_json: Json = False,
) -> int:
    """List the bundled campaigns, or the experiments of one with key, priority and weights.

    Example: trueness list demo

    Parameters
    ----------
    campaign
        A bundled campaign or a YAML file; without it, the campaigns are listed.
    """
    if campaign is None:
        return _list_campaigns(as_json)
    from trueness.market import feature_names
    from trueness.models import parameter_count
    from trueness.spec import PatchTST

    chosen = _campaign(campaign, ids, priorities, tiers, 1, protocol, data, vix)
    rows: list[dict[str, Any]] = []
    for entry in chosen.experiments:
        spec = entry.spec
        columns = len(feature_names(spec.task, chosen.bars, chosen.volatility))
        weights = 0
        if isinstance(spec.model, PatchTST):
            weights = parameter_count(spec.model, columns, spec.task.context_days)
        rows.append(
            {
                "id": entry.id,
                "priority": entry.priority,
                "key": spec.key,
                "label": spec.label(),
                "parameters": weights,
            }
        )
    if as_json:
        for row, entry in zip(rows, chosen.experiments, strict=True):
            row["spec"] = entry.spec.model_dump(mode="json")
        _print_json(rows)
    else:
        _print_rows(rows)
        for key, twins in chosen.twins().items():
            _console().print(f"{' = '.join(twins)}: one run, {key}", highlight=False)
    return 0


@app.command(name="leaderboard")
def leaderboard_(
    campaign: str | None = None,
    /,
    *,
    sort: str | None = None,
    limit: int = ROWS_SHOWN,
    store: Store_ = DEFAULT_STORE,
    report: Path | None = None,
    as_json: Json = False,
) -> int:
    """Print the stored runs, comparable ones together, sorted by the lower end of a precision.

    Example: trueness leaderboard demo --sort precision_top15

    Parameters
    ----------
    campaign
        Only the runs of this campaign; all runs without it.
    sort
        Estimate whose lower end sorts, such as precision_top15, precision_half or auc.
    limit
        Networks shown per table; JSON and pages show all.
    report
        Also write an HTML page to this file.
    """
    from trueness.report.leaderboard import leaderboard
    from trueness.report.tables import show_leaderboard

    _check_output(report)
    if limit < 1:
        raise TruenessError(f"--limit {limit}: at least 1 row is needed")
    board = leaderboard(_store(store), campaign, sort)
    if as_json:
        _print_json(board.to_dict())
    else:
        show_leaderboard(_console(), board, limit)
    if report is not None and board.arenas:
        from trueness.report.page import write_page

        write_page(board, report, campaign or "trueness")
        _console(err=True).print(f"report: {report}", highlight=False)
    return 0


@app.command
def show(run: str, /, *, store: Store_ = DEFAULT_STORE, as_json: Json = False) -> int:
    """Show one stored run: data, splits, every estimate with its interval, checks.

    Example: trueness show D-01

    Parameters
    ----------
    run
        A key, the beginning of one, or the id of an experiment.
    """
    from trueness.report.tables import show_run

    opened = _store(store)
    found, ids = _find(opened, run)
    if as_json:
        _print_json({"ids": ids, "spec": found.spec.model_dump(mode="json"), **found.record})
    else:
        show_run(_console(), found, ids)
    return 0


@data_app.command
def check(
    source: str = "sp500", /, *, vix: Vix = None, calendar: str | None = None, as_json: Json = False
) -> int:
    """Check daily bars: dates, prices, volume, and the sessions they lack.

    Example: trueness data check sp500 --calendar XNYS

    Parameters
    ----------
    source
        sp500, synthetic, or a CSV or Parquet file with Date, Open, High, Low, Close, Volume.
    calendar
        Exchange calendar to compare the dates with, such as XNYS.
    """
    from trueness.market import load_bars, load_volatility
    from trueness.market.check import bar_facts, compare_sessions, volatility_facts

    bars = load_bars(source)
    facts = bar_facts(bars)
    if vix is not None:
        facts["volatility"] = volatility_facts(bars, load_volatility(vix))
    if calendar is not None:
        facts["sessions"] = compare_sessions(bars, calendar)
    if as_json:
        _print_json(facts)
    else:
        _print_facts(facts)
    return 0


@features_app.default
def features(*, tier: str = "a50", as_json: Json = False) -> int:
    """List the indicators of a tier with formula, warm-up, scale and what they need.

    Example: trueness features --tier a20

    Parameters
    ----------
    tier
        A tier holds all rows of the tiers below it; +c adds the volatility index, as in a50+c.
    """
    from trueness.market.indicators import FAMILIES, tier_rows

    family = {row.name: name for name, module in FAMILIES.items() for row in module.ROWS}
    rows = [
        {
            "position": r.position, "name": r.name, "tier": r.tier, "family": family[r.name],
            "warmup": r.warmup, "scale": r.scale, "needs": " ".join(r.needs),
            "flags": " ".join(r.flags), "formula": r.formula,
        }
        for r in tier_rows(tier)
    ]  # fmt: skip
    if as_json:
        _print_json(rows)
    else:
        _print_rows(rows)
    return 0


@features_app.command
def build(
    *, out: Path, tier: str = "a50", data: Data = None, vix: Vix = None, as_json: Json = False
) -> int:
    """Compute the indicators of a tier and write them to a Parquet file with their dates.

    Example: trueness features build --tier a20 --data sp500 --out features.parquet

    Parameters
    ----------
    out
        Parquet file; columns Date and the catalogue names, in order. Rows begin with the first bar.
    tier
        See trueness features.
    """
    from trueness.market import load_bars, load_volatility
    from trueness.market.inputs import build_file

    _check_output(out)
    index = None if vix is None else load_volatility(vix)
    facts = build_file(load_bars(data or "sp500"), tier, index, out)
    if as_json:
        _print_json(facts)
    else:
        _print_facts(facts)
    return 0


@features_app.command
def audit(
    *,
    tier: str = "a50",
    data: Data = None,
    vix: Vix = None,
    protocol: Literal["mission", "walk_forward"] = "mission",
    block_days: int = 125,
    report: Path | None = None,
    as_json: Json = False,
) -> int:
    """Audit the columns of a tier: look-ahead, copies, gaps, tails, drift, relation to the label.

    Exits with status 1 if a column looks ahead.

    Example: trueness features audit --tier a50 --data sp500

    Parameters
    ----------
    tier
        See trueness features.
    protocol
        Whose training rows the label (High of the next day reaches +1 %) is compared on.
    block_days
        Days per permuted block of the null.
    report
        Also write an HTML page to this file.
    """
    from trueness.market import load_bars, load_volatility
    from trueness.report.audit import audit_tier, show_audit, write_audit_page

    _check_output(report)
    if block_days < 1:
        raise TruenessError(f"--block-days {block_days}: at least 1 day is needed")
    index = None if vix is None else load_volatility(vix)
    with _listener() as listener:
        found = audit_tier(load_bars(data or "sp500"), tier, index, protocol, block_days, listener)
    if as_json:
        _print_json(found.to_dict())
    else:
        show_audit(_console(), found)
    if report is not None:
        write_audit_page(found, report)
        _console(err=True).print(f"report: {report}", highlight=False)
    return 1 if found.looking_ahead else 0


@app.command
def explain(code: str | None = None, /, *, as_json: Json = False) -> int:
    """Print the page of a check, or the list of checks.

    Example: trueness explain TRU001

    Parameters
    ----------
    code
        Such as TRU001; without it, all checks are listed.
    """
    from trueness.report.checks import check_page, check_titles

    if code is None:
        titles = check_titles()
        if as_json:
            _print_json(titles)
        else:
            _print_rows([{"code": c, "title": t} for c, t in titles.items()])
        return 0
    page = check_page(code.upper())
    if as_json:
        _print_json({"code": code.upper(), "page": page})
    else:
        from rich.markdown import Markdown

        _console().print(Markdown(page))
    return 0


# ------------------------------------------------------------------------------------------ helpers


def _campaign(
    name: str, ids: list[str] | None, priorities: list[str] | None, tiers: list[str] | None,
    seeds: int, protocol: str | None, data: str | None, vix: str | None,
) -> Campaign:  # fmt: skip
    from trueness.campaign import load_campaign

    campaign = load_campaign(name, data=data, vix=vix, protocol=protocol, seeds=seeds)
    if ids or priorities or tiers:
        return campaign.select(ids or [], priorities or [], tiers or [])
    return campaign


def _store(path: Path) -> Store:
    from trueness.store import Store

    return Store(path)


def _find(store: Store, wanted: str) -> tuple[Run, list[str]]:
    """A run by id (or CAMPAIGN/ID) or key, and all ids that share it."""
    ids = {
        f"{c}/{id_}": key for c, known in store.campaigns().items() for id_, key in known.items()
    }
    meant = {full: key for full, key in ids.items() if wanted in (full, full.split("/", 1)[1])}
    if len(set(meant.values())) > 1:
        raise TruenessError(f"{wanted!r} is several runs; choose from {', '.join(meant)}")
    found = store.run(next(iter(meant.values()), wanted))
    return found, [full for full, key in ids.items() if key == found.key]


def _check_output(path: Path | None) -> None:
    """Refuse an output file that cannot be written, before anything is computed."""
    if path is None:
        return
    folder = path.parent if str(path.parent) else Path()
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise TruenessError(
            f"{path}: the file cannot be written there; give one in an existing folder"
        )


def _console(err: bool = False) -> Console:
    from rich.console import Console

    stream = sys.stderr if err else sys.stdout
    return Console(file=stream, width=None if stream.isatty() else 150)


def _print_json(content: Any) -> None:  # noqa: ANN401 - whatever JSON can hold
    sys.stdout.write(json.dumps(content, indent=1, allow_nan=False, default=str) + "\n")


def _print_rows(rows: Sequence[dict[str, Any]]) -> None:
    from trueness.report.tables import rows_table

    _console().print(rows_table(rows))


def _print_facts(facts: dict[str, Any], indent: str = "") -> None:
    for name, value in facts.items():
        if isinstance(value, dict):
            sys.stdout.write(f"{indent}{name.replace('_', ' ')}:\n")
            _print_facts(value, indent + "  ")
        else:
            shown = "; ".join(map(str, value)) or "none" if isinstance(value, list) else value
            sys.stdout.write(f"{indent}{name.replace('_', ' ')}: {shown}\n")


def _list_campaigns(as_json: bool) -> int:
    from trueness.campaign import bundled_campaigns

    rows = bundled_campaigns()
    if as_json:
        _print_json(rows)
    else:
        _print_rows(rows)
    return 0


def _dry_run(campaign: Campaign, store: Store, as_json: bool) -> int:
    from trueness.report.tables import show_plan
    from trueness.run import plan

    todo = plan(campaign, store)
    if as_json:
        _print_json({"experiments": todo.rows, "notes": todo.notes})
    else:
        show_plan(_console(), todo.rows, todo.notes)
    return 0


def _listener() -> Any:  # noqa: ANN401 - a context manager that yields a Listener
    from trueness.report.progress import ProgressListener

    return ProgressListener(_console(err=True))


def _fail(message: str) -> NoReturn:
    sys.stderr.write(f"trueness: {message}\n")
    raise SystemExit(EXIT_REFUSED)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: mistakes print one line and exit with status 2.

    `--trace` shows the traceback.
    """
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    trace = "--trace" in tokens
    tokens = [t for t in tokens if t != "--trace"]
    _guarded(
        lambda: app(tokens, exit_on_error=False, print_error=False, result_action="return_value"),
        trace,
    )


def _guarded(call: Callable[[], Any], trace: bool) -> NoReturn:
    try:
        status = call()
    except CycloptsError as error:
        if trace:
            raise
        _fail(" ".join(str(error).split()))
    except TruenessError as error:
        if trace:
            raise
        _fail(str(error))
    except KeyboardInterrupt:
        sys.stderr.write("trueness: interrupted\n")
        raise SystemExit(EXIT_INTERRUPTED) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(EXIT_INTERRUPTED) from None
    raise SystemExit(status if isinstance(status, int) else 0)
