"""Documents that are made on request, as PDF or CSV: a customer has one made at a time, and a process makes one."""

from web.bounded import Bounded

WAITING_MAX, WAIT_SECONDS_MAX = 3, 10.0


class TooManyDocuments(Exception):
    """Another document is still being made. Try again in a moment."""


making = Bounded(WAITING_MAX, WAIT_SECONDS_MAX, TooManyDocuments)
