"""Every fold of specs of one shape, stack after stack."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from trueness.errors import SpecError
from trueness.examples import Examples
from trueness.fit.checkpoints import Checkpoints
from trueness.fit.curriculum import orders, scorer_of
from trueness.fit.device import Device
from trueness.fit.inherited import completed
from trueness.fit.member import (
    Fitted,
    FoldFit,
    Member,
    MemberState,
    Prune,
    precision_of,
    stackable,
)
from trueness.fit.policy import Mode
from trueness.fit.pretraining import Starts, pretrain
from trueness.fit.stack import Stack
from trueness.models import stacks
from trueness.spec import Spec


def fit_stack(
    examples: Examples,
    specs: Sequence[Spec],
    device: Device,
    on_epoch: Callable[[int], None] | None = None,
    width: int | None = None,
    mode: Mode = "eager",
    on_note: Callable[[str], None] | None = None,
    prune: Prune | None = None,
    base_folder: Path = Path(),
    checkpoints: Checkpoints | None = None,
    inherited: Mapping[Member, FoldFit] | None = None,
    starts: Starts | None = None,
) -> list[Fitted]:
    """Train every fold of every spec, at most `width` networks in one pass.

    Parameters
    ----------
    examples : Examples
        N windows with F folds.
    specs : sequence of Spec
        Equal under `stackable`.
    device : Device
    on_epoch : callable, optional
        Told the epochs that training came nearer to its end, skipped ones included; fewer than 0 if
        a stack ran out of memory and its members start again.
    width : int, optional
        Members per stack; all of them by default, and 1 for networks that `torch.func` does not
        take. The results do not depend on it.
    mode : {"eager", "graph", "compile"}
        How steps are carried out; see `trueness.fit.policy`. Networks of others are not recorded.
    on_note : callable, optional
        Told what else a reader should know.
    prune : callable, optional
        Asked after each epoch of a member, with its row of history; True ends the member, and its
        spec has no result.
    base_folder : Path
        Folder of own files.
    checkpoints : Checkpoints, optional
        Keeps every fold that is trained while others are not, and is asked for those first.
    inherited : mapping of Member to FoldFit, optional
        Folds that keep the weights of an earlier run: only examples without a score are scored.
    starts : mapping of Member to mapping of str to array, optional
        Weights with which folds begin whose spec names stored runs.

    Returns
    -------
    list of Fitted
        One per spec, in order. A member whose loss stops being finite fails alone.

    Raises
    ------
    SpecError
        If the specs do not stack, the width is below 1, or a network of others is refused.
    torch.OutOfMemoryError
        If a single member does not fit.
    """
    if width is not None and width < 1:
        raise SpecError(f"stacks of {width} members; give at least 1")
    if len({stackable(one) for one in specs}) != 1:
        raise SpecError("a stack takes one or more specs that are equal under `stackable`")
    model, began = specs[0].model, time.perf_counter()
    stacked = stacks(model, examples.series.shape[1], examples.context, base_folder)
    width, mode = width if stacked else 1, "eager" if model.reference else mode
    members = [Member(one, fold) for one in specs for fold in range(examples.n_folds)]
    on_note = on_note or (lambda note: None)
    there = _inherited(inherited or {}, examples, device, base_folder, on_note)
    if checkpoints is not None:
        there |= _kept(checkpoints, [m for m in members if m not in there], examples, device,
                       on_note)  # fmt: skip
    states = _fit_members(
        examples, members, device, width or len(members), mode, base_folder,
        on_epoch or (lambda epochs: None), on_note, prune, checkpoints, there, starts or {},
    )  # fmt: skip
    before = sum(state.seconds_before for state in states)
    share = (time.perf_counter() - began + before) / len(specs)
    fitted = []
    for i, one in enumerate(specs):
        mine = states[i * examples.n_folds : (i + 1) * examples.n_folds]
        failure = next((t.failure for t in mine if t.failure), None)
        pruned = any(t.pruned for t in mine)
        folds = [] if failure or pruned else [t.result for t in mine if t.result is not None]
        precision = precision_of(one, device)
        fitted.append(Fitted(one, folds, precision, device.name, share, failure, pruned, stacked))
    return fitted


def _fit_members(
    examples: Examples, members: list[Member], device: Device, width: int, mode: Mode,
    base_folder: Path, on_epoch: Callable[[int], None], on_note: Callable[[str], None],
    prune: Prune | None, checkpoints: Checkpoints | None, states: dict[Member, MemberState],
    starts: Starts,
) -> list[MemberState]:  # fmt: skip
    """Stack after stack; one that does not fit into memory is halved and starts again.

    `states` are those of members that need no training.
    """
    on_epoch(sum(one.member.spec.recipe.passes for one in states.values()))
    while len(states) < len(members):
        left = [member for member in members if member not in states]
        chunk, note, began = left[:width], 0, time.perf_counter()

        def count(epochs: int) -> None:
            nonlocal note
            note += epochs
            on_epoch(epochs)

        try:
            trained = _trained(examples, chunk, device, mode, prune, base_folder, count, starts)
        except torch.OutOfMemoryError:
            if len(chunk) == 1:
                raise
            width = len(chunk) // 2
            on_note(f"out of memory with {len(chunk)} members in a stack; {width} from here on")
            on_epoch(-note)
            device.empty_cache()
            continue
        states |= {state.member: state for state in trained}
        if checkpoints is not None and len(left) > len(chunk):
            share = (time.perf_counter() - began) / len(chunk)
            for state in trained:
                if state.result is not None:
                    checkpoints.save(state.member, state.result, share)
    return [states[member] for member in members]


def _trained(
    examples: Examples, members: list[Member], device: Device, mode: Mode, prune: Prune | None,
    base_folder: Path, count: Callable[[int], None], starts: Starts,
) -> list[MemberState]:  # fmt: skip
    """All phases of one stack: what orders its examples, what learns without labels, and with."""

    def scored(scorers: list[Member]) -> list[MemberState]:
        own = {Member(scorer_of(m.spec), m.fold): weights for m, weights in starts.items()}
        return _trained(examples, scorers, device, mode, None, base_folder, count, own)

    known = orders(examples, members, scored)
    failed = {member: why for member, why in known.items() if isinstance(why, str)}
    ordered = {member: order for member, order in known.items() if not isinstance(order, str)}
    states = {member: MemberState.begin(member, examples, device.name) for member in failed}
    for member, why in failed.items():
        states[member].failure = why
    if len(failed) < len(members):
        rest = [member for member in members if member not in failed]
        stack = Stack(examples, rest, device, mode, prune, base_folder, ordered)
        pretrain(stack, count, starts)
        stack.train(count)
        states |= {state.member: state for state in stack.states}
    return [states[member] for member in members]


def _inherited(
    folds: Mapping[Member, FoldFit], examples: Examples, device: Device, base_folder: Path,
    on_note: Callable[[str], None],
) -> dict[Member, MemberState]:  # fmt: skip
    """Members that keep the weights of an earlier run; those whose columns changed are trained."""
    matches = {}
    for member, fold in folds.items():
        result = completed(fold, member, examples, device, base_folder)
        if result is not None:
            matches[member] = MemberState.begin(member, examples, device.name)
            matches[member].result = result
    if len(matches) < len(folds):
        on_note(
            f"stored weights do not give the stored scores in {len(folds) - len(matches)} of "
            f"{len(folds)} folds, so their columns changed; they are trained"
        )
    return matches


def _kept(
    checkpoints: Checkpoints, members: list[Member], examples: Examples, device: Device,
    on_note: Callable[[str], None],
) -> dict[Member, MemberState]:  # fmt: skip
    """Members whose folds an earlier attempt left behind."""
    result = {}
    for member in members:
        if (kept := checkpoints.load(member)) is not None:
            state = MemberState.begin(member, examples, device.name)
            state.result, state.seconds_before = kept
            result[member] = state
    if result:
        on_note(f"{len(result)} of {len(members)} folds are there from an earlier attempt")
    return result
