"""What all experiments of a campaign stand on: task, data, what the caller overrides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from trueness.errors import SpecError, TruenessError, nearest
from trueness.own import pinned
from trueness.spec import explain_error
from trueness.spec.kinds import AnySpec, spec_class
from trueness.spec.recipe import RECIPES, Recipe, named_recipe
from trueness.store import AnyStore
from trueness.tasks import TASKS, Declaration, task_of
from trueness.yamlfile import Part, Reader, merge, nested

SHARED = ("alarms", "alarm_rate_pct", "confidence_pct", "block")
"""Fields of an evaluation that another protocol keeps."""
SOURCES = ("data", "vix", "features")
"""Names under which a file or a caller gives data."""
References = Mapping[str, str]
"""Id of an earlier experiment -> key of its run, of the same replicate."""


@dataclass(frozen=True)
class CampaignContext:
    """What all experiments of a file stand on.

    Attributes
    ----------
    file : Path
    reader : Reader
    kind : str
        Of the task.
    data : Data
        See `trueness.tasks`.
    protocol, recipe : str or None
        In place of the file's own.
    """

    file: Path
    reader: Reader
    kind: str
    data: Any
    protocol: str | None = None
    recipe: str | None = None

    def spec(
        self, id_: str, part: Part, known: References | None = None
    ) -> tuple[AnySpec, str | None]:
        """Validated spec of an experiment, and the name of its recipe.

        Raises
        ------
        CampaignError
            With file, line and field of the first mistake.
        """
        task, place = task_of(self.kind), Declaration(self.file, self.reader, id_, part)
        content = _sections(place, self.kind, task.sources)
        content["evaluation"] = _evaluation(content.get("evaluation", {}), self.protocol)
        named = _name_recipe(place, content, self.recipe)
        if named is not None and not spec_class(self.kind).named_recipes:
            raise place.fail(("recipe", "name"), f"recipe {named}: {self.kind} have no recipes by "
                             "name; give its fields", "no_recipe")  # fmt: skip
        for path in spec_class(self.kind).references:
            content = _resolved(place, content, path, known or {})
        content = task.filled(content, self.data, place)
        spec = _validated(place, spec_class(self.kind), content)
        task.check(spec, self.data, place)
        spec = _pinned(spec, place)
        return _with_recipe(spec, named), named


def make_context(
    place: Declaration, top: Mapping[str, Any], sources: Mapping[str, Any], *,
    protocol: str | None = None, recipe: str | None = None, needed: bool = True,
    callback: Any = None, labels: Iterable[str] = (),  # noqa: ANN401
) -> CampaignContext:  # fmt: skip
    """Load the data that a file names, or those that the caller gives in their place.

    Parameters
    ----------
    place : Declaration
        An experiment of the kind of task that the others have.
    top : mapping
        Top level of the file.
    sources : mapping
        `SOURCES` of the caller, None where the file's own are meant.
    protocol, recipe : str, optional
    needed : bool
        False if nothing is computed from the data.
    callback : Callback, optional
        Hears of data that are made.
    labels : iterable of str
        Columns that experiments predict, which are inputs of none.
    """
    file, reader, kind = place.file, place.reader, _kind_of(place)
    task = task_of(kind)
    asked = {name: value for name, value in sources.items() if value is not None}
    for name in sorted({*asked, *({*SOURCES} & set(top))} - {*task.sources.values()}):
        raise reader.fail(1, f"{name}: a campaign on {kind} takes no such data", "no_source")
    for name in {*SOURCES} & set(top):
        if not _is_source(name, top[name], kind):
            raise reader.fail(_line(reader, name), f"{name}: the name of a file is expected; put "
                              "a number in quotes", "no_source")  # fmt: skip
    own = {name: _relative(file, top[name]) for name in SOURCES if name in top}
    if "data" in asked and "vix" in own:  # other bars, another index
        del own["vix"]
        if callback is not None and "vix" not in asked:
            callback.on_note(
                "vix of the campaign belongs to its own bars and is left out; --vix gives one"
            )
    base_folder = Path() if "features" in asked else file.parent
    content = {**own, **asked, "base_folder": base_folder, "labels": labels}
    try:
        data = task.load(content, needed, callback)
    except TruenessError as error:
        if error.source not in own or error.source in asked:
            raise
        raise reader.fail(
            _line(reader, error.source), f"{error.source}: {error}", error.code
        ) from None
    return CampaignContext(file, reader, kind, data, protocol, recipe)


def _line(reader: Reader, name: str) -> int:
    """Line of a key of the campaign."""
    lines = {key: line for key, _, line in reader.pairs(reader.root(), "the campaign")}
    return lines.get(name, 1)


def _is_source(name: str, value: object, kind: str) -> bool:
    """Whether a campaign may give this in `data`, `vix` or `features`: a text, bars also several.

    Empty texts name nothing.
    """
    several = value if name == "data" and kind == "market" and isinstance(value, list) else [value]
    return len(several) > 0 and all(isinstance(one, str) and one for one in several)


def dated_data(context: CampaignContext, name: str, store: AnyStore, *, update: bool) -> Any:  # noqa: ANN401 - of the task
    """Data that fill in open dates as runs of a campaign had them.

    Of runs on these same data, those whose dates their end gives come first. With `update`, runs on
    data that ended earlier count too, the longest first.

    Raises
    ------
    CampaignError
        With code ``no_update`` if data of the task are no series in time.
    """
    earlier, data = task_of(context.kind).earlier, context.data
    if earlier is None:
        if not update:
            return data
        raise context.reader.fail(
            1, f"a campaign on {context.kind} cannot be updated: only bars have a later end",
            "no_update",
        )  # fmt: skip
    keys = {key for some in store.campaigns().get(name, {}).values() for key in some}
    known = earlier(store.run(key) for key in sorted(keys) if key in store)
    known = [one for one in known if (update or one.rows == data.rows) and not one.why_not(data)]
    if not known or (not update and any(one.dated == data.until for one in known)):
        return data
    return replace(data, dated=known[0].dated)


def _kind_of(place: Declaration) -> str:
    """Kind of task of an experiment."""
    task = place.part.content.get("task")
    kind = task.get("kind", "market") if isinstance(task, dict) else "market"
    if not isinstance(kind, str) or kind not in TASKS:
        hint = nearest(str(kind), list(TASKS))
        raise place.fail(("task", "kind"), f"task.kind: {hint}", "task_kind")
    return kind


def _relative(file: Path, source: Any) -> Any:  # noqa: ANN401 - whatever a file holds
    """A data path in a campaign file is relative to that file; of several, each."""
    if isinstance(source, list):
        return [_relative(file, one) for one in source]
    sibling = file.parent / str(source)
    return sibling if sibling.exists() and sibling != file.parent else str(source)


def _sections(place: Declaration, kind: str, sources: Mapping[str, str]) -> dict[str, Any]:
    """Content of an experiment whose task and evaluation are mappings, of the right kind."""
    content = dict(place.part.content)
    for section in ("task", "evaluation"):
        if not isinstance(content.get(section, {}), dict):
            raise place.fail((section,), f"{section} must be a mapping of names to values")
    task = content.get("task", {})
    if task.get("kind", kind) != kind:
        raise place.fail(("task", "kind"), f"task.kind: choose from {kind}, the first experiment's")
    for name, option in sources.items():
        if name in task:
            raise place.fail(("task", name), f"task.{name} is set by `{option}:` or --{option}")
    return {**content, "task": {"kind": kind, **task}}


def _evaluation(content: dict[str, Any], protocol: str | None) -> dict[str, Any]:
    """The evaluation, or what another protocol keeps of it."""
    if protocol is None or content.get("protocol") == protocol:
        return dict(content)
    return {**{k: v for k, v in content.items() if k in SHARED}, "protocol": protocol}


def _name_recipe(place: Declaration, content: dict[str, Any], override: str | None) -> str | None:
    """Take the name of a recipe out of `content`; what else it says there stays."""
    own = content.get("recipe", {})
    if not isinstance(own, dict):
        return None
    name = own.get("name") if override is None else override
    if name is not None and (not isinstance(name, str) or name not in RECIPES):
        hint = nearest(str(name), list(RECIPES))
        raise place.fail(("recipe", "name"), f"recipe.name: unknown recipe {name!r}; {hint}")
    if "recipe" in content:
        content["recipe"] = {k: v for k, v in own.items() if k != "name"}
    return name


def _with_recipe(spec: Any, name: str | None) -> Any:  # noqa: ANN401 - a spec of any kind
    """The spec with a named recipe beneath what it says itself."""
    if name is None or not spec.model.is_network:
        return spec
    own = spec.recipe.model_dump(include=spec.recipe.model_fields_set)
    recipe = Recipe(**{**named_recipe(name, spec.loss), **own})
    return spec.model_copy(update={"recipe": recipe})


def _resolved(
    place: Declaration, content: dict[str, Any], path: tuple[str, ...], known: References
) -> dict[str, Any]:
    """Content with the ids of earlier experiments, one or a list, replaced by their keys."""
    node: Any = content
    for name in path:
        node = node.get(name) if isinstance(node, dict) else None
    several = isinstance(node, list)
    keys = [_key_of(place, one, path, known) for one in (node if several else [node])]
    return content if node is None else merge(content, nested(path, keys if several else keys[0]))


def _key_of(place: Declaration, node: Any, path: tuple[str, ...], known: References) -> Any:  # noqa: ANN401
    """Key of an earlier experiment; what is a key, or no text, as it is."""
    if not isinstance(node, str) or _is_key(node):
        return node
    if node not in known:
        hint = nearest(node, list(known)) if known else "none stands before it"
        where = ".".join(path)
        raise place.fail(path, f"{where}: no earlier experiment {node!r}; {hint}", "no_reference")
    return known[node]


def _is_key(text: str) -> bool:
    return len(text) == 12 and set(text) <= set("0123456789abcdef")


def _pinned(spec: Any, place: Declaration) -> Any:  # noqa: ANN401 - a spec of any kind
    """The spec with the version of the code from outside that its model needs."""
    if getattr(spec.model, "reference", None) is None:
        return spec
    try:
        return spec.model_copy(update={"model": pinned(spec.model, place.file.parent)})
    except SpecError as error:
        raise place.fail(("model", "of"), f"model: {error}", error.code) from None


def _validated(place: Declaration, shape: type[AnySpec], content: dict[str, Any]) -> AnySpec:
    try:
        return shape.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        path, message = explain_error(content, dict(first), shape)
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise place.fail(path, f"{'.'.join(path)}: {message}{more}") from None
