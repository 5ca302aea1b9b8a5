"""The verb that audits inputs: features audit."""

from __future__ import annotations

from typing import Any

from trueness.cli.options import (
    DEFAULT_STORE,
    Data,
    Features,
    Protocol,
    Store_,
    StrictInt,
    Vix,
    progress,
)
from trueness.cli.output import DEFAULT, Output, check, present
from trueness.errors import TruenessError
from trueness.places import StoreLocation


def audit(
    campaign: str | None = None,
    /,
    *,
    tier: str | None = None,
    run: str | None = None,
    feature: str | None = None,
    features: Features = None,
    data: Data = None,
    vix: Vix = None,
    protocol: Protocol = None,
    block_days: StrictInt | None = None,
    store: Store_ = DEFAULT_STORE,
    output: Output = DEFAULT,
) -> int:
    """Audit features: look-ahead, copies, gaps, tails, drift, relation to the label.

    Those of a tier of indicators, own ones, those of a stored run, or those of the table of a
    campaign: there a feature that tells the label by itself is suspected to be a leak. Exits with
    status 1 if a feature looks ahead, or is a suspected leak.

    Example: trueness features audit --tier a50 --data sp500
    Example: trueness features audit --features my_features.py:build --data sp500
    Example: trueness features audit table-demo
    Example: trueness features audit --run D-01 --feature rsi_14

    Parameters
    ----------
    campaign
        A campaign on a table, whose first experiment says what is predicted; of the other options
        it takes --data and --protocol.
    tier
        See trueness features; a50 by default.
    run
        A stored run whose inputs are meant, on the data that its record names, or on the same
        ones as --data and --vix.
    feature
        With --run: only this one, its values in each part and what it tells of the label alone.
    protocol
        Whose training rows the label is compared on; of a tier (High of the next day reaches +1 %)
        holdout by default.
    block_days
        Days per permuted block of the null of a tier; 125 by default.
    """
    from trueness.judge.features import audit_tier
    from trueness.market import load_bars, load_volatility

    check(output)
    if run is not None:
        own = {"CAMPAIGN": campaign, "--tier": tier, "--features": features,
               "--protocol": protocol, "--block-days": block_days}  # fmt: skip
        return _audit_run(store, run, feature, {"data": data, "vix": vix}, own, output)
    if feature is not None:
        raise TruenessError("--feature is one input of a stored run; name that with --run",
                            "which_runs")  # fmt: skip
    if campaign is not None:
        own = {"--tier": tier, "--features": features, "--vix": vix, "--block-days": block_days}
        given = next((name for name, value in own.items() if value is not None), None)
        if given is not None:
            message = f"{given} is about a tier of indicators; leave it out for the table of"
            raise TruenessError(f"{message} {campaign}", "no_tier")
        return _audit_table(campaign, data, protocol, output)
    protocol, block_days = protocol or "holdout", 125 if block_days is None else block_days
    if protocol not in ("holdout", "walk_forward"):
        message = f"--protocol {protocol} divides rows of tables; for a tier choose from holdout"
        raise TruenessError(f"{message}, walk_forward", "protocol")
    if block_days < 1:
        raise TruenessError(f"--block-days {block_days}: at least 1 day is needed", "count")
    if features is not None:
        return _audit_own(features, tier, data, protocol, block_days, output)
    index = None if vix is None else load_volatility(vix)
    with progress() as shown:
        result = audit_tier(
            load_bars(data or "sp500"), tier or "a50", index, protocol, block_days, shown
        )
    present(result, output)
    return 1 if result.looking_ahead else 0


def _audit_run(
    store: StoreLocation, wanted: str, feature: str | None, sources: dict[str, Any],
    own: dict[str, Any], output: Output,
) -> int:  # fmt: skip
    """Inputs of a stored run; `own` are options that are about something else."""
    from trueness.bundle.inputs import audit_inputs, values_of_input
    from trueness.judge.features import FeatureAudit
    from trueness.judge.finding import named_run
    from trueness.store import Store

    other = next((name for name, value in own.items() if value is not None), None)
    if other is not None:
        raise TruenessError(f"{other} is not about a stored run; leave it or --run out", "no_tier")
    name, run = named_run(Store(store), wanted)
    if feature is not None:
        present(values_of_input(run, name, sources, feature), output)
        return 0
    with progress() as shown:
        result = audit_inputs(run, name, sources, shown)
    present(result, output)
    faulty = result.looking_ahead if isinstance(result, FeatureAudit) else result.leaks
    return 1 if faulty else 0


def _audit_own(
    features: str, tier: str | None, data: Data, protocol: str, block: int, output: Output
) -> int:
    from trueness.judge.features import audit_own
    from trueness.market import load_panel
    from trueness.market.own_features import load_own

    if tier is not None:
        raise TruenessError("--tier and --features are audited one at a time; leave one out",
                            "tier")  # fmt: skip
    panel = load_panel(data or "sp500")
    with progress() as shown:
        result = audit_own(load_own(features, panel), panel, protocol, block, shown)
    present(result, output)
    return 1 if result.looking_ahead else 0


def _audit_table(name: str, data: Data, protocol: str | None, output: Output) -> int:
    from trueness.campaign import load_campaign
    from trueness.judge.table_features import audit_table
    from trueness.tasks import task_of

    campaign = load_campaign(name, data=data, protocol=protocol)
    if not task_of(campaign.kind).tabular:
        raise TruenessError(f"{campaign.name} is a campaign on {campaign.kind}; the features of a "
                            "tier are audited by --tier", "no_table")  # fmt: skip
    spec = campaign.experiments[0].spec
    result = audit_table(spec.task, spec.evaluation, campaign.data.table)
    present(result, output)
    return 1 if result.leaks else 0
