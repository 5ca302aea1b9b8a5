"""What is special to a loss, an embedding or a network stands on its shape or its row, nowhere else."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError, create_model

import trueness
from trueness.losses.binary import LOSSES
from trueness.models import EMBEDDINGS, NETWORKS, activation_bytes, multiply_adds, parameter_count
from trueness.spec import Spec, explain_error
from trueness.spec.embedding import Embedding
from trueness.spec.keyed import ContentAddressed
from trueness.spec.loss import Loss
from trueness.spec.model import Model
from trueness.spec.shape import TaskShape

PACKAGE = Path(trueness.__file__).parent
HOMES = ("spec", "losses", "models")
FAMILIES = (Loss, Embedding, Model, TaskShape)
WAITING = {"baselines/market.py"}
"""Files that are being rewritten elsewhere; nothing may come in, and what is mended must leave."""


def _members(family):
    for shape in family.__subclasses__():
        yield shape.__name__
        yield from _members(shape)


def _from_specs(tree):
    """Names of classes, and of modules, that a file imports from the room of specs."""
    classes, modules = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("trueness.spec"):
            classes |= {alias.asname or alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module in ("trueness", "trueness.spec"):
            modules |= {alias.asname or alias.name for alias in node.names}
        if isinstance(node, ast.Import):
            modules |= {a.asname for a in node.names if a.asname and "spec" in a.name}
    return classes, modules


def _asked(tree):
    """Members of the families that a file asks for by isinstance, issubclass or match."""
    names = {*(f.__name__ for f in FAMILIES), *(n for f in FAMILIES for n in _members(f))}
    classes, modules = _from_specs(tree)
    for node in ast.walk(tree):
        called = isinstance(node, ast.Call) and getattr(node.func, "id", "")
        if called in ("isinstance", "issubclass"):
            inside = list(ast.walk(node.args[1]))
        elif isinstance(node, ast.MatchClass):
            inside = list(ast.walk(node.cls))
        else:
            continue
        for one in inside:
            if isinstance(one, ast.Name) and one.id in classes & names:
                yield one.id
            if isinstance(one, ast.Attribute) and getattr(one.value, "id", "") in modules:
                yield from {one.attr} & names


def test_nobody_outside_asks_of_which_class_a_part_of_a_spec_is():
    actual = {}
    for file in PACKAGE.rglob("*.py"):
        name = file.relative_to(PACKAGE).as_posix()
        asked = sorted(set(_asked(ast.parse(file.read_text()))))
        if asked and name.split("/")[0] not in HOMES:
            actual[name] = asked
    assert set(actual) == WAITING & set(actual), actual


@pytest.mark.parametrize(
    "text",
    [
        "from trueness.spec.loss import Bce\nisinstance(x, Bce)",
        "from trueness.spec.model import PatchTST as P, PatchTST\nisinstance(x, int | PatchTST)",
        "import trueness.spec.model as m\nisinstance(x, (int, m.PatchTST))",
        "from trueness.spec import loss\nmatch x:\n    case loss.Focal():\n        pass",
    ],
)
def test_the_walk_sees_what_it_forbids(text):
    assert list(_asked(ast.parse(text)))


def test_the_walk_leaves_torch_alone():
    assert not list(_asked(ast.parse("from torch import nn\nisinstance(x, nn.Embedding)")))


def test_every_shape_has_its_row_and_every_row_its_shape():
    assert set(Loss.kinds()) == set(LOSSES)
    assert set(Embedding.kinds()) == {"none", *EMBEDDINGS}
    assert {k for k, shape in Model.kinds().items() if shape.is_network} == set(NETWORKS)


NEEDED = {
    "module": {"of": "my_nets.py:Net"},
    "estimator": {"of": "my_models.py:Slow"},
    "ensemble": {"of": ("0123456789ab", "ba9876543210")},
}
"""Fields that a model must be given, by its kind."""


@pytest.mark.parametrize("kind", Model.kinds())
def test_every_model_says_what_callers_ask_of_it(kind):
    shape = Model.kinds()[kind]
    assert shape.engine in ("stack", "estimators", "ensemble")
    assert shape.shapeless <= set(shape.model_fields)
    assert {*shape.rates} <= shape.shapeless
    assert {*shape.sizes} <= set(shape.model_fields) - shape.shapeless
    if not shape.is_network:
        model = shape(kind=kind, **NEEDED.get(kind, {}))
        assert [f(model, 5, 20) for f in (parameter_count, multiply_adds, activation_bytes)] == [
            0, 0, 0,
        ]  # fmt: skip
        assert model.in_words()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_order_of_members_is_in_no_key(family, monkeypatch):
    def key(content):
        return create_model("One", __base__=ContentAddressed, part=(family, ...))(part=content).key

    usual = {"width": 8, "bars": "x", "rows": "x", "label": "y"}
    contents = [
        {"kind": kind} | {n: value for n, value in NEEDED.get(kind, usual).items()
                          if n in shape.model_fields and shape.model_fields[n].is_required()}
        for kind, shape in family.kinds().items()
    ]  # fmt: skip
    before = [key(content) for content in contents]
    turned = dict(reversed(family.kinds().items()))
    monkeypatch.setattr(family, "kinds", classmethod(lambda cls: turned if cls is family else {}))
    assert [key(content) for content in contents] == before
    assert len(set(before)) == len(before)


BASE = {"task": {"kind": "market", "bars": "x"}, "evaluation": {"protocol": "holdout"}}


@pytest.mark.parametrize(
    ("part", "where", "words"),
    [
        ({"loss": "hinge"}, "loss", "unknown kind 'hinge'; choose from bce, weightedbce"),
        ({"loss": {"gamma": 1}}, "loss", "it needs a kind"),
        ({"loss": {"kind": "focal", "gama": 1}}, "loss.gama", "choose from gamma, alpha"),
        ({"model": {"kind": "base_rate", "x": 1}}, "model.x", "base_rate takes none"),
        ({"model": {"kind": "patchtst", "d_modle": 8}}, "model.d_modle", "choose from d_model"),
        (
            {"model": {"kind": "patchtst", "embedding": {"kind": "linear", "widht": 8, "width": 8}}},
            "model.embedding.widht", "choose from width",
        ),
        ({"model": {"kind": "patchtst", "embedding": "linear"}}, "model.embedding.width", "required"),
    ],
)  # fmt: skip
def test_mistakes_in_a_family_name_the_field_and_the_choices(part, where, words):
    content = {**BASE, **part}
    with pytest.raises(ValidationError) as raised:
        Spec.model_validate(content)
    path, message = explain_error(content, dict(raised.value.errors()[0]))
    assert ".".join(path) == where
    assert words in message


NEW = """
from typing import ClassVar, Literal
import numpy as np, torch
from trueness.spec.loss import Loss
from trueness.spec.model import Model, Network
from trueness.spec.shape import Float, Int
from trueness.losses.binary import LOSSES, bce
from trueness.models.measuring import NetworkRow
from trueness.models.networks import NETWORKS, parameter_count

class Doubled(Loss):
    kind: Literal["doubled"]
    times: Float = 2.0

class Flat(Network):
    kind: Literal["flat"]
    width: Int = 3

LOSSES["doubled"] = lambda logits, y, *, times: times * bce(logits, y)

class FlatModule(torch.nn.Module):
    rates, samples = (), False
    def __init__(self, model, n_features, context, generator):
        super().__init__()
        from trueness.models.layers import linear
        self.up = linear(n_features, model.width, generator)
        self.out = linear(model.width, 1, generator)
    def forward(self, x, noise=None):
        return self.out(self.up(x[:, -1]).relu()).squeeze(-1)

NETWORKS["flat"] = NetworkRow(FlatModule)

from trueness.spec import Spec
Spec.model_rebuild(force=True)
spec = Spec.model_validate({
    "task": {"kind": "market", "bars": "x", "context": 5}, "model": "flat",
    "loss": {"kind": "doubled", "times": 3}, "recipe": {"epochs": 1, "precision": "float32"},
    "evaluation": {"protocol": "holdout"},
})
assert spec.label() == "a20 · flat, doubled 3", spec.label()
assert parameter_count(spec.model, 2, 5) == 3 * 3 + 4
from trueness.examples import Examples
from trueness.fit import Device, fit_stack
n = 40
examples = Examples(
    np.random.default_rng(0).normal(size=(n + 4, 2)).astype(np.float32), np.arange(n), 5,
    (np.arange(n) % 3 == 0).astype(np.uint8), np.datetime64("2001-01-01") + np.arange(n),
    np.full(n, "calm"), np.where(np.arange(n) < 30, 1, 2).astype(np.int8)[None], ("a", "b"),
)
(fitted,) = fit_stack(examples, [spec], Device("cpu", False))
assert np.isfinite(fitted.folds[0].logit).all()
"""


def test_a_new_loss_and_a_new_network_are_a_class_and_a_row_each():
    """In a process of its own: the families would keep them."""
    subprocess.run([sys.executable, "-c", NEW], check=True, timeout=120)
