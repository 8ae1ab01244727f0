"""`field__any_of=[…]`: a set as one parameter.

`field__in` writes a parameter for every member: a new statement for each size, parsed and planned each time. This one
is the same however large the set is, so the database plans it once.
"""

from typing import Any

from django.db.models import Lookup


class AnyOf(Lookup):
    """`field = ANY (array)`; true of no row where the set is empty."""

    lookup_name = "any_of"
    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        """The comparison, and the array as its parameter."""
        left, parameters = self.process_lhs(compiler, connection)
        kind = self.lhs.output_field.rel_db_type(connection)
        return f"{left} = ANY (%s::{kind}[])", (*parameters, list(self.rhs))
