"""The verb that sets stored runs side by side: leaderboard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from trueness.cli.options import DEFAULT_STORE, OpenTest, Store_
from trueness.cli.output import DEFAULT, Output, check, present
from trueness.errors import TruenessError

if TYPE_CHECKING:
    from trueness.judge.choice import Choice


@Parameter(name="*")
@dataclass(frozen=True)
class Showing:
    """Which of the judged runs are shown, and in which order."""

    where: Annotated[
        list[str] | None,
        Parameter(
            negative=(), help="Only runs of which this holds, as auc>0.6, loss.kind=focal or "
            "recipe.learning_rate<=1e-3; repeatable.",
        ),
    ] = None  # fmt: skip
    search: Annotated[str, Parameter(help="Only runs with this in id, key, label or a tag.")] = ""
    kind: Annotated[str, Parameter(help="Only candidates, or only baselines.")] = ""
    sort: Annotated[
        str,
        Parameter(
            help="Field that sorts the rows: an estimate by its lower bound, or a setting, "
            "parameters, seconds, created; what ranks them without it."
        ),
    ] = ""
    order: Annotated[
        str,
        Parameter(help="ascending, or descending: of an estimate the best first, its default."),
    ] = ""
    columns: Annotated[
        list[str] | None,
        Parameter(name="--column", negative=(), help="Show this field as well; repeatable."),
    ] = None

    @property
    def choice(self) -> Choice | None:
        """What was asked for; None if all is shown as it is ranked."""
        from trueness.judge.choice import Choice

        several = tuple(self.where or ()), tuple(self.columns or ())
        result = Choice(several[0], self.search, self.kind, self.sort, self.order, several[1])
        return None if result == Choice() else result


ALL = Showing()


def leaderboard_(
    campaign: str | None = None,
    /,
    *,
    by: str | None = None,
    reference: str | None = None,
    each: Annotated[bool, Parameter(negative=())] = False,
    rank_by: str | None = None,
    group: str | None = None,
    showing: Showing = ALL,
    tags: Annotated[list[str] | None, Parameter(name="--tag", negative=())] = None,
    open_test: OpenTest = False,
    store: Store_ = DEFAULT_STORE,
    output: Output = DEFAULT,
) -> int:
    """Print the stored runs, comparable ones together, ranked by the lower bound of a precision.

    All runs of a comparison group are judged together; --where, --search, --kind, --sort, --order
    and --column only choose which rows are shown. With --by, compare the variants of one setting
    with a reference, everything else equal.

    Example: trueness leaderboard demo --where 'auc>0.6' --sort parameters

    Example: trueness leaderboard demo --by model.embedding

    Parameters
    ----------
    campaign
        Only the runs of this campaign, bundled or a YAML file; all runs without it.
    by
        Setting whose variants are compared, such as loss, model.embedding, embedding.kind,
        task.tier, recipe.learning_rate or dropout; or data, for each series of a panel by itself.
    reference
        With --by: value that the others are compared with; the default of the setting without it.
        For runs with K classes: the run that the others are compared with; that of the campaign
        without it.
    each
        With --by: a row per experiment instead of the mean over those of a variant.
    rank_by
        Estimate whose lower bound ranks the candidates and chooses the leader that is judged, such
        as precision@15 or auc; precision at the largest alarm budget without it.
    group
        Only this comparison group, by the comparison_group of --json or its beginning.
    tags
        Judge only runs with this tag (trueness runs tag); repeatable.
    """
    from trueness.judge.keeping import tagged
    from trueness.judge.leaderboard import leaderboard
    from trueness.store import Store

    check(output)
    choice = showing.choice
    if campaign is not None and campaign.endswith((".yaml", ".yml")):
        from trueness.campaign import campaign_name

        campaign = campaign_name(campaign)
    opened = Store(store)
    keys = tagged(opened, tags) if tags else None
    if by is not None:
        from trueness.judge.by_series import by_series
        from trueness.judge.contrasts import contrasts

        if choice is not None or rank_by is not None or group is not None:
            raise TruenessError("--by compares variants, and has no rows to rank, sort or filter; "
                                "leave it out, or the others", "by_and_rows")  # fmt: skip
        if by == "data":
            if each or reference is not None:
                raise TruenessError("--each and --reference belong to the variants of a setting; "
                                    "--by data shows series", "by_data")  # fmt: skip
            present(by_series(opened, campaign, keys=keys, access=("leaderboard", "by data")),
                    output)  # fmt: skip
            return 0
        present(contrasts(opened, campaign, by, reference=reference, each=each, keys=keys,
                          access=("leaderboard", f"by {by}")), output)  # fmt: skip
        return 0
    if each:
        raise TruenessError("--each needs --by, which says what is compared", "each_without_by")
    part = "test" if open_test else None
    present(leaderboard(opened, campaign, rank_by=rank_by, keys=keys, reference=reference,
                        part=part, opened=open_test, access=("leaderboard", ""), choice=choice,
                        group=group), output)  # fmt: skip
    return 0
