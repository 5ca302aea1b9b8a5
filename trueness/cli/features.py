"""Verbs about data and indicators: data, features."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclopts import App

from trueness.cli.options import Data, Separator, StrictInt, Vix
from trueness.cli.output import DEFAULT, Output, check, check_path, console, present
from trueness.errors import TruenessError

if TYPE_CHECKING:
    from trueness.market import Bars

data_app = App(
    name="data", help="Fetch bars, and check them before they are used.", help_format="plaintext"
)
data_app.command("trueness.cli.fetching:fetch_bars", name="fetch")
features_app = App(name="features", help_format="plaintext")


@data_app.command(name="check")
def check_bars(
    source: str = "sp500", /, *, vix: Vix = None, calendar: str | None = None,
    drop_idle: bool = False, out: Path | None = None, separator: Separator = None,
    output: Output = DEFAULT,
) -> int:  # fmt: skip
    """Check bars: spacing, dates, prices, volume, and the sessions they lack.

    Example: trueness data check sp500 --calendar XNYS
    Example: trueness data check bars/
    Example: trueness data check bars.csv --drop-idle --out traded.parquet

    Parameters
    ----------
    source
        sp500, synthetic, a CSV or Parquet file with Date, Open, High, Low, Close, Volume and
        perhaps a ticker, or a folder of them.
    calendar
        Exchange calendar to compare the dates with, such as XNYS.
    drop_idle
        Leave out bars without a trade: no volume and one price, as vendors fill holidays.
    out
        File to write the checked bars to, .csv or .parquet, for use in place of the source.
    """
    from trueness.judge.facts import Facts
    from trueness.market import load_panel, load_volatility
    from trueness.market.check import (
        bar_facts,
        compare_sessions,
        panel_facts,
        volatility_facts,
        write_bars,
    )  # fmt: skip
    from trueness.market.panel import Panel

    check(output)
    if out is not None:
        check_path(out)
    panel = load_panel(source, separator)
    if drop_idle:
        panel = Panel.of([bars.traded() for bars in panel])
    index = None if vix is None else load_volatility(vix)

    def facts_of(bars: Bars) -> dict[str, Any]:
        facts = bar_facts(bars)
        if index is not None:
            facts["volatility"] = volatility_facts(bars, index)
        if calendar is not None:
            facts["sessions"] = compare_sessions(bars, calendar)
        return facts

    if out is not None:
        write_bars(panel, out)
    facts = facts_of(panel.series[0]) if panel.alone else panel_facts(panel, facts_of)
    present(Facts(f"Bars: {panel.name}", facts), output)
    return 0


@features_app.default
def features(*, tier: str = "a50", output: Output = DEFAULT) -> int:
    """List the indicators of a tier with formula, warm-up, scale and what they need.

    Example: trueness features --tier a20

    Parameters
    ----------
    tier
        A tier holds all rows of the tiers below it; +c adds the volatility index, as in a50+c.
    """
    from trueness.judge.listing import Listing
    from trueness.market.indicators import FAMILIES, tier_rows
    from trueness.market.indicators.libraries import LIBRARY_OF

    check(output)
    family = {row.name: name for name, module in FAMILIES.items() for row in module.ROWS}
    rows = [
        {
            "position": r.position, "name": r.name, "tier": r.tier, "family": family[r.name],
            "warmup": r.warmup, "scale": r.scale, "needs": " ".join(r.needs),
            "flags": " ".join(r.flags), "library": LIBRARY_OF.get(r.name, ""),
            "formula": r.formula,
        }
        for r in tier_rows(tier)
    ]  # fmt: skip
    present(Listing(f"Features of tier {tier}", rows), output)
    return 0


@features_app.command
def build(
    *, out: Path, tier: str = "a50", data: Data = None, vix: Vix = None, output: Output = DEFAULT
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
    from trueness.judge.facts import Facts
    from trueness.market import load_bars, load_volatility
    from trueness.market.inputs import build_file

    check(output)
    check_path(out)
    index = None if vix is None else load_volatility(vix)
    facts = build_file(load_bars(data or "sp500"), tier, index, out)
    present(Facts(f"Features of tier {tier}", facts), output)
    return 0


features_app.command("trueness.cli.auditing:audit", name="audit")


@features_app.command
def reduce(
    *,
    out: Path,
    tier: str = "a50",
    data: Data = None,
    vix: Vix = None,
    seeds: StrictInt = 2,
    rounds: StrictInt = 20,
    epochs: StrictInt = 10,
    device: str = "auto",
    workers: StrictInt | None = None,
    output: Output = DEFAULT,
) -> int:
    """Drop the weakest features round by round while a small network does not suffer.

    Writes a tier file; a campaign takes it as task.tier: FILE.

    Example: trueness features reduce --tier a50 --data sp500 --out reduced.yaml

    Parameters
    ----------
    out
        YAML file; its name becomes the name of the tier.
    tier
        See trueness features.
    seeds
        Networks per round; their median decides.
    rounds
        At most so many.
    epochs
        Per network.
    device
        auto, cpu, cuda or mps.
    workers
        Processes on a CPU; all cores by default.
    """
    from trueness.reduce import reduce_file

    check(output)
    check_path(out)
    for name, value in (("seeds", seeds), ("rounds", rounds), ("epochs", epochs)):
        if value < 1:
            raise TruenessError(f"--{name} {value}: at least 1 is needed", "count")
    note = console(err=True)
    result = reduce_file(
        data or "sp500", vix, tier, out, seeds=seeds, rounds=rounds, epochs=epochs, device=device,
        workers=workers, on_round=lambda one: note.print(str(one), highlight=False),
    )  # fmt: skip
    present(result, output)
    return 0
