"""What every part of a spec is made of: frozen records, families of them, and strict numbers."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, TypeAlias, Union, cast, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    Strict,
    TypeAdapter,
)
from pydantic_core import CoreSchema


def no_bool(value: Any) -> Any:  # noqa: ANN401 - a validator sees whatever was written
    """Refuse true and false where a number is meant."""
    if isinstance(value, bool):
        raise ValueError("a number is expected, not true or false")
    return value


def kind_from_name(value: Any) -> Any:  # noqa: ANN401
    """Let `loss: bce` stand for `loss: {kind: bce}`."""
    return {"kind": value} if isinstance(value, str) else value


Int: TypeAlias = Annotated[int, BeforeValidator(no_bool), Field(le=10**9)]
Bool: TypeAlias = Annotated[bool, Strict()]
Float: TypeAlias = Annotated[float, BeforeValidator(no_bool)]
Fraction: TypeAlias = Annotated[Float, Field(ge=0, lt=1)]
Positive: TypeAlias = Annotated[Float, Field(gt=0)]


class Shape(BaseModel):
    """A frozen record that refuses unknown fields, NaN and infinities."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)

    def canonical_text(self) -> str:
        """Fields that are not at their default, sorted, as JSON."""
        content = self.model_dump(mode="json", exclude_defaults=True)
        return json.dumps(content, sort_keys=True, separators=(",", ":"))


class Family(Shape):
    """Shapes that may stand in one field, distinguished by their kind: a union that writes itself.

    A field annotated with a subclass takes whichever of its own subclasses has the kind that was
    written, so that a new member is one class, and nothing lists the members. What is special to a
    member is an attribute of its class, with the usual value on the family. A class with kinds is a
    member, and stays one when other members are made from it.

    Examples
    --------
    >>> from trueness.spec.loss import Loss
    >>> list(Loss.kinds())[:3]
    ['bce', 'weightedbce', 'labelsmoothing']
    >>> Loss.validated({"kind": "focal", "gamma": 1})
    Focal(kind='focal', gamma=1.0, alpha=0.25)
    """

    kind: str

    @classmethod
    def kinds(cls) -> dict[str, type[Self]]:
        """Kind -> shape, of all members that are defined by now, in the order of definition."""
        result = dict.fromkeys(cls._own_kinds(), cls)
        for shape in cls.__subclasses__():
            for kind, member in shape.kinds().items():
                result.setdefault(kind, member)  # what only inherits its kind is no other member
        return result

    @classmethod
    def members(cls) -> tuple[type[Self], ...]:
        """Shapes of all members; several kinds may have one."""
        return tuple(dict.fromkeys(cls.kinds().values()))

    @classmethod
    def _own_kinds(cls) -> tuple[str, ...]:
        """Kinds of a member; none of a family, whose kind is any text."""
        return get_args(cls.model_fields["kind"].annotation)

    @classmethod
    def validated(cls, content: object) -> Self:
        """Member from a mapping, the name of a kind, or a member.

        Raises
        ------
        pydantic.ValidationError
            If it describes none.
        """
        adapter: TypeAdapter[Self] = TypeAdapter(_annotated(cls, "whichever kind was written"))
        return adapter.validate_python(content)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401
        """A member's own schema, or the union of a family's members."""
        if cls._own_kinds() or not (members := cls.members()):
            return handler(source)
        either = _one_of(members, "kind")
        return handler.generate_schema(_annotated(either, BeforeValidator(kind_from_name)))


class TaskShape(Family):
    """What is predicted, and from which columns; a family.

    Whatever else reads a task goes by these traits.

    Attributes
    ----------
    nouns : (str, str)
        What a unit is called, and what a group of them.
    horizon : int
        Times that a label looks ahead.
    context : int
        Rows that a model sees; a field or a property of every member.
    protocols : tuple of type
        Shapes of evaluations, one per protocol.
    of_data : tuple of str
        Fields that the data decide.
    scaled : bool
        Whether inputs are brought to one scale inside each fold.
    """

    protocols: ClassVar[tuple[type[Shape], ...]]
    of_data: ClassVar[tuple[str, ...]] = ()
    scaled: ClassVar[bool] = False

    if TYPE_CHECKING:  # fields of some, which pydantic would find shadowed

        @property
        def horizon(self) -> int:
            """Times that a label looks ahead."""
            ...

        @property
        def nouns(self) -> tuple[str, str]:
            """What a unit is called, and what a group of them."""
            ...

        @property
        def context(self) -> int:
            """Rows that a model sees."""
            ...

    @property
    def prefix(self) -> str:
        """What the label of a model begins with."""
        return ""

    @property
    def caution(self) -> str:
        """What results may not claim because of the inputs."""
        return ""

    @property
    def event(self) -> tuple[object, ...]:
        """Data and event; equal for runs that answer one question, whatever their columns."""
        raise NotImplementedError

    def question(self) -> str:
        """The event that is predicted."""
        raise NotImplementedError

    def misfit(self, evaluation: Shape) -> str | None:
        """Why an evaluation does not go with the task; None if it does."""
        del evaluation

    def evaluation(self, content: object) -> Any:  # noqa: ANN401 - one of `protocols`
        """Evaluation from a mapping or an evaluation.

        Raises
        ------
        pydantic.ValidationError
            If it is none of the task.
        """
        return _reader(self.protocols).validate_python(content)


@cache
def _reader(shapes: tuple[type[Shape], ...]) -> TypeAdapter[Any]:
    """What reads evaluations of these shapes."""
    return TypeAdapter(_one_of(shapes, "protocol"))


def _one_of(shapes: tuple[type[Shape], ...], tag: str) -> Any:  # noqa: ANN401
    """Union of shapes that a field tells apart."""
    if len(shapes) == 1:
        return shapes[0]
    return _annotated(Union[shapes], Field(discriminator=tag))  # noqa: UP007


def _annotated(of: Any, note: object) -> Any:  # noqa: ANN401
    """``Annotated[of, note]`` for a type that is known only when the program runs."""
    return cast(Any, Annotated)[of, note]
