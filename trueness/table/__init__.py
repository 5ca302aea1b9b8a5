"""Tables with one row per unit and a binary label: reading, preparation in each fold, audit."""

from trueness.table.examples import table_examples
from trueness.table.reading import BUNDLED, Table, bundled, load_table, table_of

__all__ = ["BUNDLED", "Table", "bundled", "load_table", "table_examples", "table_of"]
