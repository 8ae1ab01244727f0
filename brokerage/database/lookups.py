"""The lookup `field__any_of=[…]`, which passes a set as one parameter.

`field__in` has a parameter for every member, so each size is a new statement, which must be parsed and planned. This
lookup gives the same statement for any size, so the database plans it only once.
"""

from typing import Any

from django.db.models import Lookup


class AnyOf(Lookup):
    """`field = ANY (array)`. It matches no row if the set is empty."""

    lookup_name = "any_of"
    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        """Return the comparison, and the array as its parameter."""
        column, parameters = self.process_lhs(compiler, connection)
        kind = self.lhs.output_field.rel_db_type(connection)
        return f"{column} = ANY (%s::{kind}[])", (*parameters, list(self.rhs))
