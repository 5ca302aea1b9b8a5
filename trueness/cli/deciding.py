"""Verbs about decisions: thresholds, certify, plan, top."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from trueness.cli.options import CHOICE, DEFAULT_STORE, OpenTest, Store_, StrictInt, Tiers
from trueness.cli.output import DEFAULT, Output, check, confirm, present
from trueness.errors import TruenessError

CampaignName = Annotated[
    str | None,
    Parameter(name="--campaign", help="All stored runs of a campaign, by its name or its file."),
]
On = Annotated[
    str | None,
    Parameter(
        name="--on",
        help="Part of the data, such as validation, oof or test; by default the one that a run is "
        "measured on.",
    ),
]


def thresholds(
    *runs: str,
    campaign: CampaignName = None,
    precision: float | None = None,
    recall: float | None = None,
    alarms: StrictInt | None = None,
    on: On = None,
    open_test: OpenTest = False,
    grid: Literal["scores", "rates", "probabilities"] = "scores",
    store: Store_ = DEFAULT_STORE,
    output: Output = DEFAULT,
) -> int:
    """Sweep thresholds of stored runs; best recall at a precision, best precision at a recall.

    Without a demand all three are shown, with their usual values.

    Example: trueness thresholds D-01 --precision 0.6 --alarms 30

    Parameters
    ----------
    runs
        Keys, beginnings of keys, or ids of experiments.
    precision
        Best recall among thresholds with at least this precision, 0 to 1.
    recall
        Best precision among thresholds with at least this recall, 0 to 1.
    alarms
        Best precision among thresholds with at most so many alarms.
    grid
        All distinct scores, alarm rates of 1 to 50 %, or probabilities of 0.05 to 0.95.
    """
    from trueness.judge.demands import demands_of
    from trueness.judge.finding import find_runs
    from trueness.judge.thresholds import judge_thresholds
    from trueness.store import Store

    check(output)
    demands = demands_of(precision, recall, alarms)
    opened, name = Store(store), _name(campaign)
    result = judge_thresholds(
        opened, find_runs(opened, runs, name), demands, grid=grid, on=on, opened=open_test,
        campaign=name or "",
    )  # fmt: skip
    present(result, output)
    return 0


def certify(
    *runs: str,
    precision: float,
    confidence: float = 0.95,
    campaign: CampaignName = None,
    on: On = None,
    open_test: OpenTest = False,
    yes: Annotated[bool, Parameter(negative=())] = False,
    store: Store_ = DEFAULT_STORE,
    output: Output = DEFAULT,
) -> int:
    """Guarantee a precision by a threshold, adjusted for every run that was evaluated.

    Runs that are certified for the first time spend a fraction of the error: a terminal is asked
    first, elsewhere --yes is needed. Asking about them again is free, at any precision. Exits with
    status 1 if nothing is certified.

    Example: trueness certify D-01 --precision 0.6 --confidence 0.95

    Parameters
    ----------
    runs
        Keys, beginnings of keys, or ids of experiments.
    precision
        That the certified threshold exceeds, 0 to 1.
    confidence
        That it does, 0.5 to 1.
    yes
        Spend what it costs without asking.
    """
    from trueness.judge.certificates import certification
    from trueness.judge.finding import find_runs
    from trueness.store import Store

    check(output)
    opened, name = Store(store), _name(campaign)
    asked = certification(
        opened, find_runs(opened, runs, name), precision, confidence, on=on, opened=open_test,
        campaign=name or "",
    )  # fmt: skip
    spending = asked.spending
    if not (spending.free or yes):
        confirm(f"{spending}. Go on?", f"nothing was certified; {spending}", "give --yes to do so")
    result = asked.issue()
    present(result, output)
    return 0 if result.certified else 1


def plan(
    *,
    positives: StrictInt | None = None,
    samples: StrictInt | None = None,
    candidates: StrictInt = 1,
    baselines: StrictInt = 5,
    alarms: StrictInt = 30,
    precision: float = 0.6,
    auc: float = 0.7,
    texts: StrictInt | None = None,
    classes: StrictInt | None = None,
    macro_f1: float = 0.8,
    lift: float | None = None,
    cluster_size: float = 1.0,
    correlation: float = 0.5,
    confidence: float = 0.95,
    power: float = 0.8,
    output: Output = DEFAULT,
) -> int:
    """Tell before a run what so many units can show, and what chance alone would show.

    Example: trueness plan --positives 76 --samples 422 --candidates 183

    Example: trueness plan --texts 400 --classes 25 --lift 0.03

    Parameters
    ----------
    positives
        Units of the part that will judge with label 1.
    samples
        All its units; of rare events, with --positives.
    candidates
        Models that will be compared there.
    baselines
        Baselines that they have to beat.
    alarms
        Budget at which precisions are compared.
    precision
        To be certified, 0 to 1.
    auc
        Where the models are expected to lie.
    texts
        Of K classes: texts of the language in the part that will judge, with --classes.
    classes
        Their number.
    macro_f1
        Where the weaker method is expected to lie.
    lift
        Macro-F1 that a method is hoped to gain, such as 0.03.
    cluster_size
        Texts of one cluster, such as offers of one product.
    correlation
        Of the scores of two models on units with the same label; of K classes, of their hits.
    power
        Probability of detecting a difference that is there.
    """
    from trueness.judge.power import Question, plan_power

    check(output)
    if texts is not None or classes is not None:
        if texts is None or classes is None or positives is not None or samples is not None:
            raise TruenessError("give --texts and --classes of titles, or --positives and "
                                "--samples of rare events", "plan")  # fmt: skip
        from trueness.evaluation.class_power import ClassWorld
        from trueness.judge.class_plan import ClassQuestion, plan_classes

        world = ClassWorld(classes, macro_f1, correlation, cluster_size)
        question = ClassQuestion(texts, world, lift, candidates, confidence, power)
        present(plan_classes(question), output)
        return 0
    if positives is None or samples is None:
        raise TruenessError("give --positives and --samples of rare events, or --texts and "
                            "--classes of titles", "plan")  # fmt: skip
    asked = Question(
        positives, samples, candidates, baselines, alarms, precision, auc, correlation, confidence,
        power,
    )  # fmt: skip
    present(plan_power(asked), output)
    return 0


def top(
    *,
    n: Annotated[StrictInt, Parameter(name=("--n", "-n"))] = 3,
    campaign: CampaignName = None,
    tiers: Tiers = None,
    per: Annotated[Literal["budget", "tier", "loss"] | None, CHOICE] = None,
    probability: Annotated[list[float] | None, Parameter(negative=())] = None,
    store: Store_ = DEFAULT_STORE,
    output: Output = DEFAULT,
) -> int:
    """Show the best stored candidates with confusion counts at several thresholds; trains nothing.

    Example: trueness top -n 1

    Parameters
    ----------
    n
        Distinct candidates per comparison group, and per size, tier or loss.
    per
        The best networks of each nominal size, tier or loss.
    probability
        Threshold beside the alarm budgets; repeatable.
    """
    from trueness.judge.top import PROBABILITIES, top_models
    from trueness.store import Store

    check(output)
    result = top_models(
        Store(store), campaign=_name(campaign), tiers=tiers or (), n=n, per=per,
        probabilities=tuple(probability or PROBABILITIES), access=("top", ""),
    )  # fmt: skip
    present(result, output)
    return 0


def _name(campaign: str | None) -> str | None:
    """Name of a campaign that is given by name or file."""
    if campaign is not None and campaign.endswith((".yaml", ".yml")):
        from trueness.campaign import campaign_name

        return campaign_name(campaign)
    return campaign
