"""What every part of a spec is made of: frozen records, and numbers that are no booleans."""

from __future__ import annotations

import json
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict


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


class Shape(BaseModel):
    """A frozen record that refuses unknown fields, NaN and infinities."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def canonical_text(self) -> str:
        """Fields that are not at their default, sorted, as JSON."""
        content = self.model_dump(mode="json", exclude_defaults=True)
        return json.dumps(content, sort_keys=True, separators=(",", ":"))
