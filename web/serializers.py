"""Validates what programs send and shows what they get: serializers that are shared, and their fields."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, ClassVar, cast

from rest_framework import serializers

UNKNOWN_FIELDS_NAMED_MAX = 10
DECIMAL = re.compile(r"-?[0-9]*\.?[0-9]*", re.ASCII)
_instances: dict[type[serializers.BaseSerializer[Any]], serializers.BaseSerializer[Any]] = {}


def validated(serializer: type[serializers.BaseSerializer[Any]], data: Any) -> dict[str, Any]:
    """Return the validated data of a query or a body.

    Raises:
        ValidationError: It is not valid.
    """
    return cast("dict[str, Any]", _shared(serializer).run_validation(data))


def shown(serializer: type[serializers.BaseSerializer[Any]], subject: Any) -> dict[str, Any]:
    """Return an object as a serializer shows it."""
    return cast("dict[str, Any]", _shared(serializer).to_representation(subject))


def _shared(serializer: type[serializers.BaseSerializer[Any]]) -> serializers.BaseSerializer[Any]:
    """Return the instance of a serializer that all requests share.

    Creating one copies every field, which costs more than all its later work and leaves garbage that only Python's
    collector finds. Validating and showing keep no state on it.
    """
    if (instance := _instances.get(serializer)) is None:
        instance = _instances[serializer] = serializer()
    return instance


class StrictSerializer(serializers.Serializer[Any]):
    """A serializer that rejects unknown fields, so that a misspelled field is an error."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, dict) or not (names := [name for name in data if name not in self.fields]):
            return super().to_internal_value(data)
        detail = serializers.ErrorDetail(f"Unknown field; known are: {', '.join(self.fields)}.", "unknown")
        wrong: dict[str, Any] = {name: [detail] for name in names[:UNKNOWN_FIELDS_NAMED_MAX]}
        try:
            super().to_internal_value(data)
        except serializers.ValidationError as error:
            wrong = {**dict(error.detail), **wrong}  # type: ignore[arg-type]
        raise serializers.ValidationError(wrong)


class TextField(serializers.CharField):
    """A JSON string; a number is not converted to one."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class WordField(serializers.ChoiceField):
    """One of a fixed set of JSON strings."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid_choice", input=f"a {type(data).__name__}")
        return super().to_internal_value(data)


class WholeNumberField(serializers.IntegerField):
    """A JSON integer: not "3", not 3.5, not true."""

    default_error_messages: ClassVar = {"invalid": "Must be a whole number, such as 3."}

    def to_internal_value(self, data: Any) -> int:
        if type(data) is not int:
            self.fail("invalid")
        return super().to_internal_value(data)


class AmountField(serializers.DecimalField):
    """USD above zero, as a decimal string with up to four decimals: "100.00"."""

    default_error_messages: ClassVar = {"invalid": 'Must be a decimal string, such as "100.00".'}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_digits=15, decimal_places=4, min_value=Decimal("0.0001"), **kwargs)

    def to_internal_value(self, data: Any) -> Decimal:
        if not (isinstance(data, str) and DECIMAL.fullmatch(data)):  # Decimal would also take "1e2" and "1_000"
            self.fail("invalid")
        return super().to_internal_value(data)


def money_field(**kwargs: Any) -> serializers.DecimalField:
    """Return a response field for USD: a decimal string with four decimals."""
    return serializers.DecimalField(max_digits=19, decimal_places=4, **kwargs)


def moment_field(**kwargs: Any) -> serializers.DateTimeField:
    """Return a response field for a time: RFC 3339, UTC, always with microseconds."""
    return serializers.DateTimeField(format="%Y-%m-%dT%H:%M:%S.%fZ", **kwargs)


def money_text(amount: Decimal | None) -> str | None:
    """Return an amount as a `money_field` shows it."""
    return None if amount is None else f"{amount:.4f}"


def moment_text(moment: datetime | None) -> str | None:
    """Return a time as a `moment_field` shows it."""
    return None if moment is None else f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat('T', 'microseconds')}Z"
