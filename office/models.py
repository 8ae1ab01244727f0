"""Models of the back office: the audit log, notes, exceptions, jobs, proofs of the books and reconciliations.

Triggers in the database ensure that audit entries, notes and proofs never change.
"""

import pgtrigger
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from trades.audit import rule_text


class AuditEntry(models.Model):
    """One thing that a member of staff saw or did. It never changes (`office.audit`)."""

    class Outcome(models.TextChoices):
        SEEN = "seen", "seen"
        ASKED = "asked", "about to be done"
        DONE = "done", "done"
        REFUSED = "refused", "refused"

    number = models.BigIntegerField(primary_key=True)
    at = models.DateTimeField()
    staff_id = models.BigIntegerField(null=True)
    staff = models.CharField(max_length=254, help_text="Email address at the time, or the name of a process.")
    address = models.CharField(max_length=64, blank=True, help_text="Network address.")
    action = models.CharField(max_length=40)
    outcome = models.CharField(max_length=8, choices=Outcome)
    customer_id = models.BigIntegerField(null=True)
    trade_id = models.UUIDField(null=True)
    subject = models.CharField(max_length=200, blank=True)
    reason = models.CharField(max_length=500, blank=True)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    previous = models.CharField(max_length=64, blank=True)
    digest = models.CharField(max_length=64)

    class Meta:
        verbose_name = "audit entry"
        verbose_name_plural = "audit log"
        indexes = [
            models.Index(name="audit_of_customer", fields=["customer_id", "-number"]),
            models.Index(name="audit_of_trade", fields=["trade_id", "-number"], condition=Q(trade_id__isnull=False)),
            models.Index(name="audit_of_staff", fields=["staff_id", "-number"]),
        ]
        triggers = [pgtrigger.Protect(name="audit_stays", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"{self.number}: {self.staff} {self.action}"


class AuditHead(models.Model):
    """The number and digest of the last audit entry. There is a single row, and each new entry moves it."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    number = models.BigIntegerField()
    digest = models.CharField(max_length=64, blank=True)

    class Meta:
        constraints = [models.CheckConstraint(name="one_audit_head", condition=Q(id=1))]

    def __str__(self) -> str:
        return str(self.number)


class Note(models.Model):
    """A note of staff about a customer. It never changes."""

    customer = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    text = models.CharField(max_length=2000)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(name="notes_of_customer", fields=["customer", "-id"])]
        triggers = [pgtrigger.Protect(name="notes_stay", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return self.text[:80]


class Case(models.Model):
    """Something that needs manual review. Staff call it an exception. Its kind and key together identify its subject.

    A closed exception opens again if it is found again, unless its kind is a fact about the past (`office.cases`).
    """

    class Kind(models.TextChoices):
        CONTRADICTS = "contradicts", "A report contradicts how its trade ended"
        BREAKS_TERMS = "breaks_terms", "A report breaks its trade's terms"
        MALFORMED = "malformed", "A report is malformed"
        UNKNOWN_HERE = "unknown_here", "The exchange has a trade that we do not know"
        UNKNOWN_THERE = "unknown_there", "The exchange does not know one of our fills"
        DIFFERS = "differs", "The exchange's record of a trade differs from ours"
        POSTINGS_DIFFER = "postings_differ", "Postings differ from the exchange's record"
        BOOKS = "books", "The books do not balance"
        WEBHOOK = "webhook", "A webhook gave up"
        SHORT_LIST = "short_list", "The exchange's list of stocks has shrunk"
        OVERDUE = "overdue", "A trade has been in progress for over an hour"

    kind = models.CharField(max_length=16, choices=Kind)
    key = models.CharField(max_length=200)
    detail = models.CharField(max_length=1000)
    customer = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    trade_id = models.UUIDField(null=True)
    report_id = models.BigIntegerField(null=True)
    found_at = models.DateTimeField(db_default=Now())
    seen_at = models.DateTimeField(db_default=Now(), help_text="When it was last found.")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    closed_at = models.DateTimeField(null=True)
    closed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    resolution = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        verbose_name = "exception"
        constraints = [
            models.UniqueConstraint(name="one_case_a_subject", fields=["kind", "key"]),
            models.CheckConstraint(
                name="who_closes_says_how",
                condition=Q(closed_at=None, closed_by=None) | (Q(closed_at__isnull=False) & ~Q(resolution="")),
            ),
        ]
        indexes = [
            models.Index(name="open_cases", fields=["found_at"], condition=Q(closed_at=None)),
            models.Index(name="cases_of_trade", fields=["trade_id"], condition=Q(trade_id__isnull=False)),
        ]
        triggers = [pgtrigger.Protect(name="cases_stay", operation=pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.about}"

    @property
    def about(self) -> str:
        """Its subject in words: that of `key`, or the broken rule of the books."""
        return rule_text(self.key.partition(" ")[0]) if self.kind == self.Kind.BOOKS else self.key

    @property
    def found(self) -> str:
        """`detail`, with the name of the broken rule replaced by plain words."""
        rule, separator, violation = self.detail.partition(": ")
        is_rule = separator and " " not in rule and self.kind == self.Kind.BOOKS
        return f"{rule_text(rule)}: {violation}" if is_rule else self.detail


class Proposal(models.Model):
    """An action that needs two members of staff: one proposes it, another decides. Approval executes it immediately.

    `given` is the data of the form, which is validated again on approval. `target` is the key of the action's target.
    """

    action = models.CharField(max_length=40)
    target = models.CharField(max_length=64, blank=True)
    given = models.JSONField(default=dict)
    subject = models.CharField(max_length=200)
    customer_id = models.BigIntegerField(null=True)
    trade_id = models.UUIDField(null=True)
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(db_default=Now())
    approved = models.BooleanField(null=True)
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    decided_at = models.DateTimeField(null=True)
    result = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        constraints = [
            models.CheckConstraint(name="nobody_approves_their_own", condition=~Q(decided_by=F("asked_by"))),
            models.CheckConstraint(
                name="proposal_is_decided_by_somebody",
                condition=Q(approved=None, decided_by=None, decided_at=None)
                | Q(approved__isnull=False, decided_by__isnull=False, decided_at__isnull=False),
            ),
        ]
        indexes = [models.Index(name="proposals_waiting", fields=["asked_at"], condition=Q(approved=None))]
        triggers = [
            pgtrigger.Protect(name="proposals_stay", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="decided_proposals_stay",
                operation=pgtrigger.Update,
                condition=~pgtrigger.Q(old__approved=None) & ~pgtrigger.Q(old__result=""),
            ),
        ]

    def __str__(self) -> str:
        return self.subject


class DailyReport(models.Model):
    """The figures of one day in Eastern time, as they were mailed. It never changes."""

    day = models.DateField(primary_key=True)
    figures = models.JSONField()
    made_at = models.DateTimeField(db_default=Now())

    class Meta:
        triggers = [pgtrigger.Protect(name="reports_of_days_stay", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return str(self.day)


class SavedFilter(models.Model):
    """Filters of a list that a member of staff saved under a name. `table` is the label of the list's model."""

    staff = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False)
    table = models.CharField(max_length=80)
    name = models.CharField(max_length=60)
    query = models.CharField(max_length=2000)

    class Meta:
        constraints = [models.UniqueConstraint(name="one_filter_a_name", fields=["staff", "table", "name"])]

    def __str__(self) -> str:
        return self.name


class ColumnChoice(models.Model):
    """The columns that a member of staff has chosen for a list."""

    staff = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False)
    table = models.CharField(max_length=80)
    columns = models.JSONField(default=list)

    class Meta:
        constraints = [models.UniqueConstraint(name="one_choice_a_table", fields=["staff", "table"])]

    def __str__(self) -> str:
        return self.table


class Job(models.Model):
    """A job that the sweep runs periodically. To request it, set `due_at` to now."""

    name = models.CharField(max_length=20, primary_key=True)
    due_at = models.DateTimeField(db_default=Now())
    asked_by = models.CharField(max_length=254, blank=True, default="")
    began_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    failure = models.CharField(max_length=500, blank=True, default="")

    def __str__(self) -> str:
        return self.name


class Heartbeat(models.Model):
    """Which workers and whether the exchange answered when the sweep last asked. There is a single row.

    `workers` is None if the message broker could not be reached, `exchange_ms` if the exchange did not answer;
    `exchange_seen` is what was seen instead.
    """

    asked_at = models.DateTimeField()
    workers = ArrayField(models.CharField(max_length=200), null=True)
    exchange_ms = models.FloatField(null=True)
    exchange_seen = models.CharField(max_length=300, blank=True, default="", db_default="")

    class Meta:
        constraints = [models.CheckConstraint(name="one_heartbeat", condition=Q(id=1))]

    def __str__(self) -> str:
        return str(self.asked_at)


class Proof(models.Model):
    """One proof of the books: what was checked, and the violations found. It never changes.

    A full proof examined all rows. A proof of changes examined only those that can have been affected since the
    `earlier` proof, at whose `mark` it started.
    """

    at = models.DateTimeField(db_default=Now())
    took_ms = models.IntegerField()
    ok = models.BooleanField()
    customers = models.BigIntegerField()
    trades = models.BigIntegerField()
    postings = models.BigIntegerField()
    violations_count = models.BigIntegerField()
    violations = models.JSONField(default=list)
    asked_by = models.CharField(max_length=254, blank=True)
    earlier = models.ForeignKey("self", models.PROTECT, null=True, related_name="+", db_index=False)
    changed = models.BigIntegerField(null=True, help_text="Customers with changes since the earlier proof.")
    full_because = models.CharField(
        max_length=300,
        blank=True,
        default="",
        db_default="",
        help_text="Why everything was examined, although only changes were to be.",
    )
    mark = models.JSONField(null=True, help_text="What it saw, as a later proof of changes needs it.")

    class Meta:
        constraints = [models.CheckConstraint(name="ok_is_no_violation", condition=Q(ok=Q(violations_count=0)))]
        triggers = [pgtrigger.Protect(name="proofs_stay", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return "no violations" if self.ok else f"{self.violations_count} violations"

    @property
    def is_full(self) -> bool:
        """Whether all rows were examined."""
        return self.earlier_id is None

    @property
    def extent(self) -> str:
        """How much was examined, in words."""
        return "everything" if self.is_full else "changes"


class Reconciliation(models.Model):
    """One comparison of our trades and postings with the exchange's own record. It never changes."""

    at = models.DateTimeField(db_default=Now())
    took_ms = models.IntegerField()
    orders = models.BigIntegerField(help_text="Orders in the exchange's record.")
    fills = models.BigIntegerField(help_text="Orders that the exchange executed.")
    tickers = models.IntegerField(help_text="Stocks whose shares and cash were compared.")
    breaks = models.BigIntegerField(help_text="Differences found.")
    asked_by = models.CharField(max_length=254, blank=True)

    class Meta:
        constraints = [models.CheckConstraint(name="no_more_fills_than_orders", condition=Q(fills__lte=F("orders")))]
        triggers = [pgtrigger.Protect(name="reconciliations_stay", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"{self.orders} orders, {self.breaks} breaks"
