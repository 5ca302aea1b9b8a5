"""Ensembles of a campaign: which runs are averaged, and those among them that nobody declared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from trueness.errors import nearest
from trueness.expansion import MOST
from trueness.spec import Spec
from trueness.spec.estimator import Ensemble
from trueness.tasks import Declaration

FIELDS = ("of", "seeds")


def ensemble_of(
    content: Any,  # noqa: ANN401 - whatever a file holds
    known: Mapping[str, Any],
    place: Declaration,
) -> tuple[Spec, list[tuple[str, Any]]]:
    """Spec of an ensemble, and its members by id.

    Parameters
    ----------
    content : mapping
        ``{of: D-01, seeds: 5}``, or ``{of: [D-01, D-02]}``; of each experiment so many seeds, one
        by default.
    known : mapping of str to Spec
        Earlier experiments by id, with the first of their seeds.
    place : Declaration

    Raises
    ------
    CampaignError
        With the codes ``ensemble_fields``, ``no_reference`` and ``ensemble``.
    """
    if not isinstance(content, dict) or "of" not in content or set(content) - {*FIELDS}:
        raise place.fail(("ensemble",), "ensemble takes of, an id or several, and seeds, as in "
                         "{of: D-01, seeds: 5}", "ensemble_fields")  # fmt: skip
    seeds, wanted = content.get("seeds", 1), content["of"]
    if isinstance(seeds, bool) or not isinstance(seeds, int) or not 1 <= seeds <= MOST:
        raise place.fail(("ensemble", "seeds"), f"ensemble.seeds {seeds!r}: 1 to {MOST} are "
                         "possible", "ensemble_fields")  # fmt: skip
    names = [str(one) for one in (wanted if isinstance(wanted, list) else [wanted])]
    if not names:
        raise place.fail(("ensemble", "of"), "ensemble.of names no experiment", "ensemble_fields")
    for name in names:
        if name not in known:
            hint = nearest(name, list(known)) if known else "none stands before it"
            message = f"ensemble.of: no earlier experiment {name!r}; {hint}"
            raise place.fail(("ensemble", "of"), message, "no_reference")
    members = [replicate(name, known[name], extra) for name in names for extra in range(seeds)]
    first = min((spec for _, spec in members), key=lambda spec: spec.key)
    events = {(spec.task.event, spec.task.context, spec.evaluation) for _, spec in members}
    if len(events) > 1:
        message = "ensemble.of: its members are not measured on the same units"
        raise place.fail(("ensemble", "of"), message, "ensemble_units")
    try:
        model = Ensemble(kind="ensemble", of=tuple(spec.key for _, spec in members))
        return Spec(task=first.task, evaluation=first.evaluation, model=model), members
    except ValidationError as error:
        message = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        raise place.fail(("ensemble",), f"ensemble: {message}", "ensemble") from None


def replicate(id_: str, spec: Any, extra: int) -> tuple[str, Any]:  # noqa: ANN401
    """Id and spec of an experiment with the seed that is so many after its own."""
    seed = spec.seed + extra
    return f"{id_}@{seed}" if extra else id_, spec.model_copy(update={"seed": seed})
