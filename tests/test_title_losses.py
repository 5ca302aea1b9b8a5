"""Losses of K logits against formulas on probabilities, contrastive against a double loop, groups."""

import inspect
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy
from sklearn.utils.class_weight import compute_class_weight

from trueness.errors import TruenessError
from trueness.losses.contrastive import CrossBatchMemory, Points, supcon
from trueness.losses.groups import (
    GroupDro,
    class_margins,
    class_weights,
    language_weights,
    log_priors,
    sampling_probabilities,
)
from trueness.losses.multiclass import CLASSIFICATION, classification_loss, focal, kl_to_teacher
from trueness.spec import titles_loss

COUNTS = torch.tensor([[700, 200, 90, 10], [50, 5, 40, 5], [0, 30, 1, 9]])
SPECS = {
    "crossentropy": titles_loss.CrossEntropy(kind="crossentropy", smoothing=0.1),
    "focal": titles_loss.FocalCrossEntropy(kind="focal", gamma=0.5, alpha=0.7, smoothing=0.05),
    "focal beside": titles_loss.FocalCrossEntropy(kind="focal", smoothing=0.05, smooth="beside"),
    "logitadjusted": titles_loss.AdjustedCrossEntropy(
        kind="logitadjusted", tau=1.2, smoothing=0.01
    ),
    "logitadjusted by language": titles_loss.AdjustedCrossEntropy(
        kind="logitadjusted", given="language", shrinkage=20.0
    ),
    "ldam": titles_loss.MarginCrossEntropy(kind="ldam", max_margin=0.5, scale=2.0, smoothing=0.1),
    "gce": titles_loss.GeneralisedCrossEntropy(kind="gce", q=0.7),
}
# texts whose true class has next to no probability are taken for mislabelled
IGNORES_OUTLIERS = {"gce"}


def _loss(name):
    return classification_loss(SPECS[name], COUNTS)


def _batch(n=24, scale=2.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, 4, dtype=torch.float64, generator=generator) * scale
    y = torch.randint(0, 4, (n,), generator=generator)
    return logits, y, torch.randint(0, 3, (n,), generator=generator)


def test_every_loss_is_covered_and_reads_every_field_of_its_spec():
    assert {spec.kind for spec in SPECS.values()} == set(CLASSIFICATION)
    bound = {"given": "log_prior", "shrinkage": "log_prior", "max_margin": "margins"}
    for spec in SPECS.values():
        read = set(inspect.signature(CLASSIFICATION[spec.kind]).parameters) - {"logits", "y"}
        declared = set(type(spec).model_fields) - {"kind"}
        assert {bound.get(name, name) for name in declared} == read


def _softmax_form(spec, z, y, language):
    """Published formula of one text, in plain numbers."""
    counts = COUNTS.numpy().astype(float)
    share = counts.sum(0) / counts.sum()
    if spec.kind == "logitadjusted":
        if spec.given == "language":
            row = counts[language]
            share = (row + spec.shrinkage * share) / (row.sum() + spec.shrinkage)
        p = np.exp(z) * share**spec.tau
    elif spec.kind == "ldam":
        margins = counts.sum(0) ** -0.25
        margins *= spec.max_margin / margins.max()
        p = np.exp(spec.scale * np.where(np.arange(4) == y, z - margins, z))
    else:
        p = np.exp(z)
    p = p / p.sum()
    if spec.kind == "gce":
        return (1 - p[y] ** spec.q) / spec.q
    hard, uniform = -math.log(p[y]), -np.log(p).sum() / 4
    if spec.kind != "focal":
        return (1 - spec.smoothing) * hard + spec.smoothing * uniform
    factor = spec.alpha * (1 - min(max(p[y], 1e-6), 1)) ** spec.gamma
    if spec.smooth == "product":
        return factor * ((1 - spec.smoothing) * hard + spec.smoothing * uniform)
    return (1 - spec.smoothing) * factor * hard + spec.smoothing * uniform


@pytest.mark.parametrize("name", SPECS)
def test_equals_the_published_formula_on_probabilities(name):
    logits, y, language = _batch()
    actual = _loss(name)(logits, y, language)
    rows = zip(logits.numpy(), y.tolist(), language.tolist(), strict=True)
    expected = [_softmax_form(SPECS[name], *row) for row in rows]
    # priors and margins are float32
    np.testing.assert_allclose(actual.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("name", SPECS)
def test_gradient_is_the_derivative(name):
    logits, y, language = _batch(8)
    loss = _loss(name)
    assert torch.autograd.gradcheck(lambda z: loss(z, y, language), logits.requires_grad_())


@pytest.mark.parametrize("name", SPECS)
def test_values_and_gradients_are_finite_at_extreme_logits(name):
    ends = torch.tensor([-80.0, 0.0, 80.0])
    logits = torch.cartesian_prod(ends, ends, ends, ends).requires_grad_()
    for label in range(4):
        y = torch.full((len(logits),), label)
        values = _loss(name)(logits, y, y % 3)
        assert values.shape == (81,)
        assert values.dtype == torch.float32
        assert values.isfinite().all()
        assert (values >= 0).all()
        (gradient,) = torch.autograd.grad(values.sum(), logits)
        assert gradient.isfinite().all()
        if name not in IGNORES_OUTLIERS:  # the true class far below another is pulled up
            worst = (logits[:, label] == -80) & (logits.amax(1) == 80)
            assert (gradient[worst, label] < 0).all()


@pytest.mark.parametrize("name", SPECS)
def test_sixty_four_texts_can_be_overfitted(name):
    logits, y, language = _batch(64)
    logits = logits.float().requires_grad_()
    adam = torch.optim.Adam([logits], lr=0.3)
    for _ in range(150):
        adam.zero_grad()
        _loss(name)(logits, y, language).mean().backward()
        adam.step()
    assert (logits.argmax(1) == y).all()


@given(st.floats(0, 0.5), st.floats(0, 3), st.integers(0, 99))
def test_identities(smoothing, gamma, seed):
    logits, y, _ = _batch(seed=seed)
    plain = CLASSIFICATION["crossentropy"](logits, y, smoothing=smoothing)
    hard = CLASSIFICATION["crossentropy"](logits, y)
    even = torch.full((4,), 0.25, dtype=torch.float64).log()
    same = [
        (focal(logits, y, gamma=0.0, smoothing=smoothing), plain),
        (focal(logits, y, gamma=0.0, smoothing=smoothing, smooth="beside"), plain),
        (focal(logits, y, gamma=gamma, smooth="beside"), focal(logits, y, gamma=gamma)),
        (CLASSIFICATION["logitadjusted"](logits, y, log_prior=even, smoothing=smoothing), plain),
        (CLASSIFICATION["ldam"](logits, y, margins=torch.zeros(4), smoothing=smoothing), plain),
        (CLASSIFICATION["gce"](logits, y, q=1e-9), hard),
        (CLASSIFICATION["gce"](logits, y, q=1.0), 1 - logits.softmax(1)[range(24), y]),
    ]
    for one, other in same:
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", SPECS)
def test_the_canonical_spelling_is_the_same_loss(name):
    logits, y, language = _batch()
    spec = SPECS[name]
    same = spec.identity() if hasattr(spec, "identity") else spec
    expected = _loss(name)(logits, y, language)
    torch.testing.assert_close(classification_loss(same, COUNTS)(logits, y, language), expected)


def _at(p, n_classes=6):
    """Logits that give the first class p and the others equal shares."""
    rest = (1 - p) / (n_classes - 1)
    return torch.tensor([[p, *[rest] * (n_classes - 1)]], dtype=torch.float64).log()


BEST_SMOOTHED = 1 - 0.05 + 0.05 / 6
"""Where smoothed cross-entropy is smallest, 0.958 in text.md."""


# text.md, section 6: K = 6, smoothing 0.05, gamma 1.5, the other five classes equal
@pytest.mark.parametrize(
    ("p", "published"),
    [(0.90, "0.0083"), (BEST_SMOOTHED, "0.0020"), (0.99, "0.0003"), (0.999, "0.00001")],
)
def test_the_published_product_lets_smoothing_die(p, published):
    value = focal(_at(p), torch.tensor([0]), gamma=1.5, smoothing=0.05).item()
    assert f"{value:.{len(published) - 2}f}" == published


def _pull(p, smooth, e=0.05, gamma=1.5, n_classes=6):
    """Slope of the loss in the true logit, by hand: p (1 - p) times the slope in p."""
    sure, spread = 1 - e + e / n_classes, e * (n_classes - 1) / n_classes
    cost = -sure * math.log(p) - spread * math.log((1 - p) / (n_classes - 1))
    slope = -sure / p + spread / (1 - p)
    factor, bend = (1 - p) ** gamma, -gamma * (1 - p) ** (gamma - 1)
    if smooth == "product":
        return p * (1 - p) * (bend * cost + factor * slope)
    hard = (1 - e) * (-bend * math.log(p) - factor / p)
    return p * (1 - p) * (hard - e / n_classes / p + spread / (1 - p))


def test_the_published_factor_is_that_of_one_in_a_million_below_it():
    value = focal(_at(1e-8), torch.tensor([0]), gamma=2.0).item()
    assert value == pytest.approx((1 - 1e-6) ** 2 * -math.log(1e-8), rel=1e-12)


@pytest.mark.parametrize("smooth", ["product", "beside"])
@pytest.mark.parametrize("p", [0.2, 0.9, BEST_SMOOTHED, 0.99, 0.9999])
def test_smoothed_focal_gradients_are_those_found_by_hand(p, smooth):
    """As published nothing pulls a confident text back; beside the focal term smoothing does."""
    logits = _at(p).requires_grad_()
    focal(logits, torch.tensor([0]), gamma=1.5, smoothing=0.05, smooth=smooth).sum().backward()
    assert logits.grad[0, 0].item() == pytest.approx(_pull(p, smooth), rel=1e-9)
    assert (logits.grad[0, 0] < 0) == (smooth == "product" or p < 0.9)


@pytest.mark.parametrize(("smooth", "falls"), [("product", True), ("beside", False)])
def test_smoothing_beside_the_focal_term_keeps_p_below_one(smooth, falls):
    grid = [1 - 10**-k for k in np.linspace(1, 5, 41)]
    values = [
        focal(_at(p), torch.tensor([0]), gamma=1.5, smoothing=0.05, smooth=smooth).item()
        for p in grid
    ]
    assert (int(np.argmin(values)) == len(grid) - 1) == falls
    assert falls or values[-1] > min(values) + 0.01


def test_smoothing_beside_the_focal_term_stops_where_stated():
    low, high = (_pull(p, "beside") for p in (0.8155, 0.8165))
    assert low < 0 < high


def test_smoothed_cross_entropy_is_smallest_at_its_published_point():
    assert round(BEST_SMOOTHED, 3) == 0.958
    logits = _at(BEST_SMOOTHED).requires_grad_()
    CLASSIFICATION["crossentropy"](logits, torch.tensor([0]), smoothing=0.05).sum().backward()
    torch.testing.assert_close(logits.grad, torch.zeros_like(logits), rtol=0, atol=1e-12)


@pytest.mark.parametrize("given_", ["all", "language"])
def test_the_best_adjusted_logits_are_those_of_equal_classes(given_):
    """With z = ln of p / prior, the adjusted softmax is p and its cross-entropy has no slope."""
    spec = titles_loss.AdjustedCrossEntropy(kind="logitadjusted", given=given_, shrinkage=7.0)
    counts, language = torch.tensor([[60, 30, 10], [2, 4, 14]]), 1
    prior = log_priors(counts, given=given_, shrinkage=7.0)[language].double().exp()
    p = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    z = (p / prior).log().expand(1000, 3).requires_grad_()
    y = torch.repeat_interleave(torch.arange(3), torch.tensor([200, 500, 300]))
    classification_loss(spec, counts)(z, y, torch.full((1000,), language)).mean().backward()
    torch.testing.assert_close(z.grad.sum(0), torch.zeros(3).double(), rtol=0, atol=1e-6)


def test_priors_shrink_towards_all_languages():
    common = log_priors(COUNTS, given="all")
    torch.testing.assert_close(common.exp().sum(1), torch.ones(3))
    assert torch.equal(common[0], common[2])
    strong = log_priors(COUNTS, given="language", shrinkage=1e9)
    torch.testing.assert_close(strong, common, rtol=1e-4, atol=1e-4)
    own = log_priors(COUNTS[:2], given="language").exp()
    torch.testing.assert_close(own[1], COUNTS[1] / 100)
    unseen = log_priors(torch.tensor([[8, 2], [0, 0]]), given="language", shrinkage=1.0)
    torch.testing.assert_close(unseen[1].exp(), torch.tensor([0.8, 0.2]))


def test_missing_classes_are_refused_by_name():
    empty = torch.tensor([[5, 0, 3], [1, 0, 2]])
    for kind in ("logitadjusted", "ldam"):
        spec = next(s for s in SPECS.values() if s.kind == kind)
        with pytest.raises(TruenessError, match=r"classes \[1\] of 3"):
            classification_loss(spec, empty)
    with pytest.raises(TruenessError, match="shrinkage above 0"):
        log_priors(COUNTS, given="language", shrinkage=0.0)
    with pytest.raises(TruenessError, match=r"classes \[1\] of 3"):
        class_weights("balanced", empty.sum(0))


# ------------------------------------------------------------------------------- contrastive


def _loop(z, y, language, tau, omega, memory):
    """Sums over anchors, positives and all others, one number at a time."""
    points = list(zip(z, y, language, strict=True)) + [m for m in memory if m[1] >= 0]
    langs = [lang for _, _, lang in points]
    losses, has = [], []
    for i in range(len(z)):
        total = sum(
            math.exp(float(z[i] @ points[a][0]) / tau) for a in range(len(points)) if a != i
        )
        top, bottom = 0.0, 0.0
        for j in range(len(points)):
            if j == i or points[j][1] != y[i]:
                continue
            w = 1.0
            if omega is not None:
                w = (omega if langs[j] != language[i] else 1.0) / langs.count(langs[j])
            top += w * (math.log(total) - float(z[i] @ points[j][0]) / tau)
            bottom += w
        losses.append(top / bottom if bottom else 0.0)
        has.append(bottom > 0)
    return losses, has


def _points(n, seed, width=5, classes=4, languages=3):
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(n, width, dtype=torch.float64, generator=generator)
    y = torch.randint(0, classes, (n,), generator=generator)
    language = torch.randint(0, languages, (n,), generator=generator)
    return Points(torch.nn.functional.normalize(z, dim=1), y, language)


@pytest.mark.parametrize("tau", [0.05, 0.5])
@pytest.mark.parametrize("omega", [None, 1.0, 3.0])
@pytest.mark.parametrize("remembered", [0, 7])
def test_supcon_equals_a_double_loop(tau, omega, remembered):
    own, past = _points(17, 1), _points(remembered, 2)
    if remembered:
        past.y[3], past.language[3] = -1, -1
    actual, anchor = supcon(
        own.z, own.y, temperature=tau, language=None if omega is None else own.language,
        cross_weight=omega or 1.0, memory=past if remembered else None,
    )  # fmt: skip
    memory = list(zip(past.z, past.y.tolist(), past.language.tolist(), strict=True))
    losses, has = _loop(own.z, own.y.tolist(), own.language.tolist(), tau, omega, memory)
    np.testing.assert_allclose(actual.numpy(), losses, rtol=1e-6)  # weights are float32
    assert anchor.tolist() == has


def test_supcon_gradient_is_the_derivative():
    own, past = _points(9, 3), _points(4, 4)

    def loss(z):
        return supcon(
            z, own.y, temperature=0.3, language=own.language, cross_weight=2.0, memory=past
        )[0]

    assert torch.autograd.gradcheck(loss, own.z.requires_grad_())


@pytest.mark.parametrize("labels", [[0], [0, 1, 2], [0, 0, 1]])
def test_anchors_without_positives_cost_nothing_and_have_no_gradient_of_their_own(labels):
    z, y = torch.eye(4)[: len(labels)].requires_grad_(), torch.tensor(labels)
    loss, anchor = supcon(z, y, temperature=1e-3)
    assert anchor.tolist() == [labels.count(label) > 1 for label in labels]
    assert (loss[~anchor] == 0).all()
    (gradient,) = torch.autograd.grad(loss.sum(), z, allow_unused=False)
    assert gradient.isfinite().all()
    if not anchor.any():
        assert (gradient == 0).all()


def test_gradients_survive_temperatures_below_the_published_clip():
    """At tau = 0.01 the published clip to +-20 leaves no gradient between points closer than 0.2."""
    angles = torch.tensor([0.0, 0.3, 0.6], dtype=torch.float64)
    z = torch.stack((angles.cos(), angles.sin()), 1).requires_grad_()
    loss, anchor = supcon(z, torch.tensor([0, 1, 0]), temperature=0.01)
    (gradient,) = torch.autograd.grad(loss[anchor].sum(), z)
    assert gradient.norm() > 1
    assert ((z.detach() @ z.detach().T) / 0.01).min() > 20


def _floor(y, language, omega):
    """Entropy of the weights of each anchor's positives: ln of their number where all are equal."""
    floor = np.zeros(len(y))
    for i in range(len(y)):
        others = [j for j in range(len(y)) if j != i and y[j] == y[i]]
        w = np.ones(len(others))
        if language is not None:
            crossing = [omega if language[j] != language[i] else 1.0 for j in others]
            w = np.array(crossing) / [(language == language[j]).sum() for j in others]
        floor[i] = entropy(w) if others else 0.0
    return torch.tensor(floor)


@given(st.integers(2, 20), st.integers(0, 99), st.booleans(), st.floats(0.5, 4))
def test_supcon_is_never_below_its_floor(n, seed, crossing, omega):
    own = _points(n, seed, classes=2)
    options = {"language": own.language if crossing else None, "cross_weight": omega}
    loss, anchor = supcon(own.z, own.y, temperature=0.2, **options)
    floor = _floor(own.y, options["language"], omega)
    assert (loss >= floor - 1e-5)[anchor].all()
    collapsed = torch.nn.functional.one_hot(own.y, 2).double() * 2 - 1
    reached, _ = supcon(collapsed / math.sqrt(2), own.y, temperature=0.02, **options)
    if not crossing:  # equal positives reach it
        np.testing.assert_allclose(reached[anchor], floor[anchor], atol=1e-5)


def test_language_is_no_way_out_and_common_languages_do_not_drown_rare_ones():
    """Of an anchor's positives, those in the 8 English texts weigh as much as the one in German."""
    y = torch.zeros(9, dtype=torch.int64)
    language = torch.tensor([0] * 8 + [1])
    z = torch.randn(9, 4, dtype=torch.float64, requires_grad=True)
    loss, _ = supcon(z, y, temperature=1.0, language=language, cross_weight=1.0)
    plain, _ = supcon(z, y, temperature=1.0)
    pulls = [torch.autograd.grad(one[0], z, retain_graph=True)[0][8] for one in (loss, plain)]
    # weights of the German text: (1/1) / (1/1 + 7/8) against 1/8, less its softmax share
    share = (z[0] @ z.T).detach()
    share[0] = -torch.inf
    share = share.softmax(0)[8]
    for pull, weight in zip(pulls, (8 / 15, 1 / 8), strict=True):
        torch.testing.assert_close(pull, (share - weight) * z[0].detach(), rtol=1e-6, atol=1e-8)


@given(st.integers(1, 7), st.lists(st.integers(1, 9), max_size=6))
def test_memory_holds_the_last_points_in_any_batching(size, batches):
    memory, seen = CrossBatchMemory(size, 1), []
    for n in batches:
        new = list(range(len(seen), len(seen) + n))
        seen += new
        t = torch.tensor(new)
        memory.push(t[:, None].float(), t, t + 100)
    kept = sorted(seen[-size:])
    assert sorted(v for v in memory.y.tolist() if v >= 0) == kept
    places = memory.y >= 0
    assert torch.equal(memory.z[places, 0].long(), memory.y[places])
    assert torch.equal(memory.language[places], memory.y[places] + 100)
    assert (memory.language[~places] == -1).all()
    copy = CrossBatchMemory(size, 1)
    copy.load_state_dict(memory.state_dict())
    for one in (memory, copy):
        one.push(torch.zeros(1, 1), torch.tensor([7777]), torch.tensor([0]))
    assert torch.equal(copy.y, memory.y)


def test_memory_holds_no_gradient_and_an_empty_one_changes_nothing():
    own, memory = _points(12, 5), CrossBatchMemory(20, 5).double()
    z = own.z.requires_grad_()
    options = {"temperature": 0.1, "language": own.language, "cross_weight": 2.0}
    alone, _ = supcon(z, own.y, **options)
    loss, _ = supcon(z, own.y, memory=memory.points(), **options)
    torch.testing.assert_close(loss, alone)
    memory.push(z, own.y, own.language)  # before the way back
    assert not memory.z.requires_grad
    loss.sum().backward()
    assert z.grad.abs().sum() > 0


def test_products_of_points_stay_exact_under_autocast():
    own = _points(32, 6)
    z = own.z.float()
    alone, _ = supcon(z, own.y, temperature=0.05)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, _ = supcon(z, own.y, temperature=0.05)
    assert torch.equal(loss, alone)


# ------------------------------------------------------------------------- teacher and groups


def test_kl_is_the_sum_over_classes_and_its_gradient_keeps_its_size():
    logits, *_ = _batch(10)
    teacher, *_ = _batch(10, seed=1)
    for t in (1.0, 4.0):
        p, own = (np.exp(z.numpy() / t) for z in (teacher, logits))
        p, own = p / p.sum(1, keepdims=True), own / own.sum(1, keepdims=True)
        expected = t**2 * (p * np.log(p / own)).sum(1)
        actual = kl_to_teacher(logits, teacher, temperature=t)
        np.testing.assert_allclose(actual.numpy(), expected, rtol=1e-10)
    z = logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: kl_to_teacher(x, teacher, temperature=2.0), z)
    # text.md 15.5 at a high temperature: T^2 KL tends to half the squared distance over K
    far = kl_to_teacher(z, teacher, temperature=1000.0)
    gap = (z - teacher) - (z - teacher).mean(1, keepdim=True)
    torch.testing.assert_close(far, gap.square().mean(1) / 2, rtol=1e-2, atol=1e-4)


def test_kl_reaches_no_teacher_and_bears_half_precision_and_extremes():
    logits = torch.tensor([[80.0, -80.0], [0.0, 0.0]], requires_grad=True)
    teacher = torch.tensor([[-80.0, 80.0], [1.0, 2.0]], dtype=torch.float16, requires_grad=True)
    values = kl_to_teacher(logits, teacher, temperature=1.0)
    assert values.dtype == torch.float32
    assert values[0].item() == pytest.approx(160)
    values.sum().backward()
    assert teacher.grad is None
    assert logits.grad.isfinite().all()


# text.md, section 15.1: English 88.6 %, 30 other languages with shares in 1/k
@pytest.mark.parametrize(
    ("alpha", "english", "second", "last"),
    [
        (1.0, 0.886, (0.029, 1.0), (0.0010, 1.0)),
        (0.7, 0.630, (0.057, 2.0), (0.0053, 5.5)),
        (0.5, 0.368, (0.066, 2.3), (0.0120, 12.7)),
        (0.3, 0.160, (0.057, 2.0), (0.0206, 21.6)),
    ],
)
def test_published_sampling_table(alpha, english, second, last):
    tail = 1 / np.arange(1, 31)
    counts = np.concatenate(([0.886], 0.114 * tail / tail.sum()))
    share = sampling_probabilities(counts, alpha)
    repeats = share / counts
    assert round(share[0], 3) == english
    assert (round(share[1], 3), round(repeats[1], 1)) == second
    assert (round(share[30], 4), round(repeats[30], 1)) == last


COUNT_LISTS = st.lists(st.integers(1, 10**6), min_size=1, max_size=12)


@given(COUNT_LISTS, st.floats(0, 1))
def test_language_weights_expect_what_sampling_does(counts, alpha):
    n = torch.tensor(counts)
    weights = language_weights(n, alpha=alpha, low=1e-9, high=1e9).double()
    assert (n * weights).sum().item() == pytest.approx(sum(counts), rel=1e-5)
    share = sampling_probabilities(counts, alpha)
    np.testing.assert_allclose((n * weights / n.sum()).numpy(), share, rtol=1e-5)


def test_language_weights_are_clipped_and_bear_empty_languages():
    n = torch.tensor([1_000_000, 100, 1, 0])
    weights = language_weights(n, alpha=0.3, low=0.2, high=10.0)
    assert weights.min() >= 0.2 - 1e-7
    assert weights[2:].tolist() == [10.0, 10.0]
    assert language_weights(n, alpha=1.0, low=0.2, high=10.0).tolist() == [1.0] * 4
    np.testing.assert_array_equal(sampling_probabilities([5, 0], 0.0), [1.0, 0.0])
    even = language_weights(torch.tensor([30, 10, 0]), alpha=0.0, low=0.1, high=10.0)
    np.testing.assert_allclose(even, [2 / 3, 2.0, 10.0], rtol=1e-6)
    with pytest.raises(TruenessError, match="at least one is needed"):
        sampling_probabilities([0, 0], 0.5)


@given(COUNT_LISTS, st.sampled_from(["balanced", "effective"]), st.floats(0, 0.9999))
def test_class_weights_have_mean_one_over_texts(counts, kind, beta):
    n = torch.tensor(counts)
    weights = class_weights(kind, n, beta=beta).double()
    assert (n * weights).sum().item() == pytest.approx(sum(counts), rel=1e-5)


def test_class_weights_are_those_of_scikit_learn_and_of_the_effective_number():
    counts = [900, 90, 10]
    rows = np.repeat(np.arange(3), counts)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=rows)
    np.testing.assert_allclose(class_weights("balanced", torch.tensor(counts)), expected, rtol=1e-6)
    effective = np.array([1 / ((1 - 0.99**n) / (1 - 0.99)) for n in counts])
    actual = class_weights("effective", torch.tensor(counts), beta=0.99).numpy()
    np.testing.assert_allclose(actual / actual[0], effective / effective[0], rtol=1e-5)
    np.testing.assert_allclose(class_weights("effective", torch.tensor(counts), beta=0.0), 1)
    # the other limit: beta to 1 is balanced
    limit = class_weights("effective", torch.tensor(counts), beta=1 - 1e-9)
    np.testing.assert_allclose(limit, expected, rtol=1e-4)


def test_margins_follow_the_fourth_root():
    margins = class_margins(torch.tensor([10_000, 625, 16]), max_margin=0.5)
    np.testing.assert_allclose(margins, [0.1, 0.2, 0.5], rtol=1e-6)


def test_group_dro_follows_its_update():
    """Exponentiated gradient written out for each group, over several batches."""
    counts, generator = torch.tensor([900, 90, 10, 0]), torch.Generator().manual_seed(0)
    dro = GroupDro(eta=0.3, adjustment=2.0, counts=counts)
    q = [1 / 3, 1 / 3, 1 / 3, 0.0]
    for step in range(6):
        losses = torch.rand(16, generator=generator).requires_grad_()
        group = torch.randint(0, 2, (16,), generator=generator) + step % 2  # one is absent
        means = [losses[group == g].mean().item() if (group == g).any() else None for g in range(4)]
        grown = [
            q[g] if m is None else q[g] * math.exp(0.3 * (m + 2.0 / math.sqrt(counts[g].item())))
            for g, m in enumerate(means)
        ]
        q = [g / sum(grown) for g in grown]
        loss = dro.weigh(losses, group)
        assert loss.item() == pytest.approx(
            sum(w * (m or 0) for w, m in zip(q, means, strict=True)), rel=1e-5
        )
        np.testing.assert_allclose(dro.q.numpy(), q, rtol=1e-5)
        (gradient,) = torch.autograd.grad(loss, losses)
        of = [q[g] / (group == g).sum().item() for g in group.tolist()]
        np.testing.assert_allclose(gradient.numpy(), of, rtol=1e-5)


def test_group_dro_turns_to_the_worst_group_and_can_be_stored():
    dro = GroupDro(eta=0.1, adjustment=0.0, counts=torch.tensor([50, 50, 50]))
    group = torch.tensor([0, 1, 2])
    for _ in range(200):
        dro.weigh(torch.tensor([0.5, 2.0, 1.0]), group)
    assert dro.q[1] > 0.99
    for _ in range(2000):  # long after, another group can still take over
        dro.weigh(torch.tensor([80.0, 0.0, 0.0]), group)
    assert dro.q.isfinite().all()
    assert dro.q[0] > 0.99
    copy = GroupDro(eta=0.1, adjustment=0.0, counts=torch.tensor([50, 50, 50]))
    copy.load_state_dict(dro.state_dict())
    assert torch.equal(copy.q, dro.q)
    losses = torch.tensor([1.0, 2.0, 3.0])
    assert torch.equal(copy.weigh(losses, group), dro.weigh(losses, group))


def test_group_dro_accumulates_over_batches_before_the_way_back():
    dro = GroupDro(eta=0.1, adjustment=0.0, counts=torch.tensor([5, 5]))
    losses = torch.tensor([1.0, 2.0], requires_grad=True)
    first = dro.weigh(losses, torch.tensor([0, 1]))
    second = dro.weigh(losses, torch.tensor([1, 1]))
    (first + second).backward()  # q has moved on in between
    assert losses.grad.isfinite().all()


def test_group_dro_without_texts_is_refused():
    with pytest.raises(TruenessError, match="at least one is needed"):
        GroupDro(eta=0.1, adjustment=0.0, counts=torch.tensor([0, 0]))
