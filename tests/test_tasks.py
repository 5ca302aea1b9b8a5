"""Kinds of task: one contract over all of them, whoever adds one."""

import inspect
from typing import Literal

import pytest
import yaml
from pydantic import ValidationError

import trueness.tasks
from trueness.campaign import load_campaign
from trueness.campaign.context import SOURCES
from trueness.errors import SpecError
from trueness.spec import Spec
from trueness.spec.kinds import KINDS, imported, spec_class
from trueness.spec.shape import Family, Shape, TaskShape
from trueness.tasks import TASKS, task_of, window_shape

SMALL = {"titles": "synthetic-3000"}
"""Data in place of the default of a task, by its kind, where that is large."""
CHOSEN = {"label": "admitted_next_year", "group": "site", "cluster": "person"}
"""Columns of the bundled table, for every task whose section names them."""
ASKED = [name for name, _ in inspect.getmembers(trueness.tasks.Task, inspect.isfunction)
         if not name.startswith("_")]  # fmt: skip


def _campaign(kind, folder):
    """A campaign of one experiment, with nothing but what it must say."""
    fields = imported(KINDS[kind].shape).model_fields
    task = {"kind": kind} | {name: value for name, value in CHOSEN.items() if name in fields}
    model = {"model": "tabm"} if spec_class(kind) is Spec else {}
    file = folder / "one.yaml"
    file.write_text(yaml.safe_dump({"experiments": [{"id": "A", "task": task, **model}]}))
    return load_campaign(file, data=SMALL.get(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_names_the_classes_of_its_own_kind(kind):
    shape, spec = imported(KINDS[kind].shape), spec_class(kind)
    assert kind in shape.model_fields["kind"].annotation.__args__
    assert spec.model_fields["task"].annotation is (TaskShape if spec is Spec else shape)
    assert issubclass(shape, TaskShape) == (spec is Spec)
    assert (kind in TASKS) == (KINDS[kind].loader is not None)


def test_what_may_stand_in_a_spec_is_what_the_table_lists():
    assert set(TaskShape.kinds()) == {k for k in KINDS if spec_class(k) is Spec}
    assert set(TASKS) < set(KINDS)


SMALLEST = {
    "market": {"kind": "market", "bars": "x"},
    "table": {"kind": "table", "rows": "x", "label": "y"},
}


@pytest.mark.parametrize("kind", TaskShape.kinds())
def test_every_shape_says_what_readers_of_specs_ask_of_it(kind):
    shape = TaskShape.kinds()[kind]
    one = shape.model_validate(SMALLEST[kind])
    assert one.nouns[0] != one.nouns[1]
    assert one.context >= 1
    assert one.horizon >= 0
    named = [name for rule in shape.protocols for name in _protocols(rule)]
    assert len(named) == len(set(named)) > 0


def _protocols(rule):
    return rule.model_fields["protocol"].annotation.__args__


@pytest.mark.parametrize("kind", TASKS)
def test_every_task_says_what_the_runner_asks_of_it(kind):
    task = task_of(kind)
    assert task.kind == kind
    assert [name for name in ASKED if not callable(getattr(task, name, None))] == []
    assert set(task.sources.values()) <= {*SOURCES}
    assert set(task.sources) <= set(imported(KINDS[kind].shape).model_fields)
    assert isinstance(task.default, str)
    assert isinstance(task.tabular, bool)
    assert hasattr(task, "unseen") == (kind != "titles")


@pytest.mark.parametrize("kind", TASKS)
def test_a_task_makes_specs_baselines_and_examples_of_its_data(kind, tmp_path):
    campaign, task = _campaign(kind, tmp_path), task_of(kind)
    data, spec = campaign.data, campaign.experiments[0].spec
    assert campaign.kind == spec.task.kind == kind
    assert {"name", "digest"} <= set(data.origin())
    assert data.digest == data.origin()["digest"]
    assert data.in_words()
    assert hasattr(data, "table") == task.tabular
    assert data.digest in spec.task.model_dump().values()
    assert type(spec).model_validate_json(spec.model_dump_json()).key == spec.key
    assert spec.question()
    assert isinstance(spec.protocol(), str)
    baselines = task.baselines(spec)
    assert len({one.key for one in baselines.values()} | {spec.key}) == len(baselines) + 1
    assert {e.spec.key for e in campaign.baselines} == {e.key for e in baselines.values()}
    assert {task.examples_key(one) for one in baselines.values()} == {task.examples_key(spec)}
    examples = task.examples(spec, data)
    for fold in task.counts(examples):
        assert fold["train"]["n"] > 0
        assert all(0 <= part.get("positives", 0) <= part["n"] for part in fold.values())
    if isinstance(spec, Spec):
        assert window_shape(spec, data) == (len(examples.features), spec.task.context)
        assert examples.context == spec.task.context


def test_a_kind_that_nobody_knows_is_refused():
    with pytest.raises(SpecError) as caught:
        task_of("tables")
    assert caught.value.code == "task_kind"


# ------------------------------------------------------------------------------------ families


class Animal(Family):
    pass


class Bird(Animal):
    kind: Literal["bird", "fowl"]
    wings: int = 2


class Penguin(Bird):
    kind: Literal["penguin"]
    depth: int = 9


class _Tame(Bird):
    """Inherits its kinds, so that it is no member of its own."""


class Fish(Animal):
    kind: Literal["fish"]


class Zoo(Shape):
    first: Animal
    bird: Bird = Bird(kind="bird")


def test_a_member_stays_one_when_another_is_made_from_it():
    assert Animal.kinds() == {"bird": Bird, "fowl": Bird, "penguin": Penguin, "fish": Fish}
    assert Animal.members() == (Bird, Penguin, Fish)
    assert Bird.members() == (Bird, Penguin)
    for kind, shape in Animal.kinds().items():
        assert type(Zoo(first=Animal.validated(kind)).first) is shape
        assert type(Zoo.model_validate({"first": {"kind": kind}}).first) is shape


def test_a_field_of_a_member_takes_that_member_alone():
    assert type(Zoo.model_validate({"first": "fish", "bird": {"kind": "fowl"}}).bird) is Bird
    for other in ({"kind": "penguin"}, {"kind": "fish"}, {"kind": "bird", "depth": 3}):
        with pytest.raises(ValidationError):
            Zoo.model_validate({"first": "fish", "bird": other})
    assert Zoo(first=Penguin(kind="penguin")).model_dump()["first"] == {
        "kind": "penguin", "wings": 2, "depth": 9,
    }  # fmt: skip


def test_a_family_of_one_member_needs_no_choice():
    class Plant(Family):
        pass

    class Tree(Plant):
        kind: Literal["tree"]

    assert Plant.validated("tree") == Tree(kind="tree")
    with pytest.raises(ValidationError):
        Plant.validated("bush")
