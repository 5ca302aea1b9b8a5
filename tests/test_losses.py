"""Contracts over the whole family of losses; a new row in LOSSES is covered by adding its scalars here."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from trueness.losses import LOSSES, asymmetricfocal, bce, focal, labelsmoothing, weightedbce
from trueness.spec import Spec

SCALARS = {
    "bce": {},
    "weightedbce": {"pos_weight": 3.0},
    "labelsmoothing": {"epsilon": 0.2},
    "focal": {"gamma": 2.0, "alpha": 0.25},
    "mildfocal": {"gamma": 0.75, "alpha": 0.5},
    "asymmetricfocal": {"gamma_pos": 1.0, "gamma_neg": 2.0, "alpha": 0.4},
}


def test_every_loss_is_covered_and_can_be_declared():
    assert set(SCALARS) == set(LOSSES)
    for kind, scalars in SCALARS.items():
        content = {"task": {"kind": "market", "bars": "x"}, "evaluation": {"protocol": "mission"}}
        assert Spec.model_validate({**content, "loss": {"kind": kind, **scalars}}).loss.kind == kind


@pytest.mark.parametrize("kind", LOSSES)
def test_values_and_gradients_are_finite_at_extreme_logits(kind):
    logits = torch.tensor([-80.0, -80.0, 0.0, 0.0, 80.0, 80.0], requires_grad=True)
    y = torch.tensor([0.0, 1.0, 0.0, 1.0, 0.0, 1.0])
    values = LOSSES[kind](logits, y, **SCALARS[kind])
    assert values.shape == (6,)
    assert values.isfinite().all()
    assert (values >= 0).all()
    (gradient,) = torch.autograd.grad(values.sum(), logits)
    assert gradient.isfinite().all()
    assert gradient[1] < 0 < gradient[4]  # pulled towards the label from the wrong end


@pytest.mark.parametrize("kind", LOSSES)
def test_gradient_is_the_derivative(kind):
    logits = torch.linspace(-3, 3, 8, dtype=torch.float64, requires_grad=True)
    y = torch.tensor([0.0, 1.0] * 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda z: LOSSES[kind](z, y, **SCALARS[kind]), logits)


@pytest.mark.parametrize("kind", LOSSES)
def test_vmap_equals_a_loop_with_scalars_per_member(kind):
    torch.manual_seed(0)
    logits, y = torch.randn(3, 16), (torch.rand(3, 16) < 0.3).float()
    scalars = {n: torch.tensor([v, v * 0.9, v * 0.5]) for n, v in SCALARS[kind].items()}

    def call(z, t, *values):
        return LOSSES[kind](z, t, **dict(zip(scalars, values, strict=True)))

    stacked = torch.vmap(call)(logits, y, *scalars.values())
    for k in range(3):
        alone = LOSSES[kind](logits[k], y[k], **{n: float(v[k]) for n, v in scalars.items()})
        torch.testing.assert_close(stacked[k], alone, rtol=1e-6, atol=1e-7)


def _probability_form(kind, p, y):
    """The published formulas, on probabilities in float64."""
    s, pt = SCALARS[kind], np.where(y == 1, p, 1 - p)
    if kind == "bce":
        return -np.log(pt)
    if kind == "weightedbce":
        return np.where(y == 1, s["pos_weight"], 1) * -np.log(pt)
    if kind == "labelsmoothing":
        target = np.where(y == 1, 1 - s["epsilon"], s["epsilon"])
        return -(target * np.log(p) + (1 - target) * np.log(1 - p))
    if kind == "asymmetricfocal":
        positive = -s["alpha"] * (1 - p) ** s["gamma_pos"] * np.log(p)
        return np.where(y == 1, positive, -(1 - s["alpha"]) * p ** s["gamma_neg"] * np.log(1 - p))
    return np.where(y == 1, s["alpha"], 1 - s["alpha"]) * (1 - pt) ** s["gamma"] * -np.log(pt)


@pytest.mark.parametrize("kind", LOSSES)
def test_equals_the_published_formula_on_probabilities(kind):
    logits = torch.linspace(-6, 6, 50, dtype=torch.float64)
    y = (torch.arange(50) % 2).double()
    expected = _probability_form(kind, torch.sigmoid(logits).numpy(), y.numpy())
    np.testing.assert_allclose(
        LOSSES[kind](logits, y, **SCALARS[kind]).numpy(), expected, rtol=1e-9
    )


@given(st.lists(st.floats(-20, 20), min_size=1, max_size=20), st.floats(0, 5), st.floats(0, 1))
def test_identities(values, gamma, alpha):
    logits = torch.tensor(values, dtype=torch.float64)
    y = (torch.arange(len(values)) % 2).double()
    same = [
        (bce(logits, y), F.binary_cross_entropy_with_logits(logits, y, reduction="none")),
        (focal(logits, y, gamma=0.0, alpha=None), bce(logits, y)),
        (focal(logits, y, gamma=0.0, alpha=0.5) * 2, bce(logits, y)),
        (weightedbce(logits, y, pos_weight=1.0), bce(logits, y)),
        (labelsmoothing(logits, y, epsilon=0.0), bce(logits, y)),
        (
            asymmetricfocal(logits, y, gamma_pos=gamma, gamma_neg=gamma, alpha=alpha),
            focal(logits, y, gamma=gamma, alpha=alpha),
        ),
    ]
    for one, other in same:
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-7)
