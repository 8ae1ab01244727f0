"""`manage.py create_staff EMAIL --role support --password P`"""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from office.roles import Role, appoint


class Command(BaseCommand):
    help = "Make a person a member of staff with a role. Run it again to add another role."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--role", choices=Role.values, required=True)
        parser.add_argument("--password", help="Used only when the account is new.")
        parser.add_argument("--name", default="")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            staff = appoint(options["email"], Role(options["role"]), password=options["password"], name=options["name"])
        except ValidationError as error:
            raise CommandError(error.messages[0]) from None
        self.stdout.write(f"{staff.email} is staff: {options['role']}")
