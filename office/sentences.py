"""Audit entries as sentences."""

from office.models import AuditEntry

Outcome = AuditEntry.Outcome

# The text of each action: in the past tense if it was done, and as an infinitive if it was only attempted.
DONE: dict[str, tuple[str, str]] = {
    "ring": ("rang the lane of {}", "ring the lane of {}"),
    "ask": ("asked the exchange about {}", "ask the exchange about {}"),
    "cancel": ("cancelled {}", "cancel {}"),
    "note": ("wrote a note on {}", "write a note on {}"),
    "freeze-trading": ("froze the trading of {}", "freeze the trading of {}"),
    "unfreeze-trading": ("unfroze the trading of {}", "unfreeze the trading of {}"),
    "freeze-withdrawals": ("froze the withdrawals of {}", "freeze the withdrawals of {}"),
    "unfreeze-withdrawals": ("unfroze the withdrawals of {}", "unfreeze the withdrawals of {}"),
    "end-tokens": ("ended all tokens and webhooks of {}", "end all tokens and webhooks of {}"),
    "deactivate": ("deactivated {}", "deactivate {}"),
    "reactivate": ("reactivated {}", "reactivate {}"),
    "end-webhook": ("ended a {}", "end a {}"),
    "end-sessions": ("ended all sessions of {}", "end all sessions of {}"),
    "api-limits": ("set the API limits of {}", "set the API limits of {}"),
    "adjust": ("requested an adjustment for {}", "request an adjustment for {}"),
    "approve": ("approved {}", "approve {}"),
    "decline": ("declined {}", "decline {}"),
    "approve-proposal": ("approved {}", "approve {}"),
    "decline-proposal": ("declined {}", "decline {}"),
    "take": ("took {}", "take {}"),
    "close": ("closed {}", "close {}"),
    "close-many": ("closed several exceptions ({})", "close several exceptions ({})"),
    "prove": ("requested a proof of the books", "request a proof of the books"),
    "reconcile": ("requested a reconciliation", "request a reconciliation"),
    "halt-all": ("halted all trading", "halt all trading"),
    "resume-all": ("resumed all trading", "resume all trading"),
    "halt-stock": ("halted a stock ({})", "halt a stock ({})"),
    "resume-stock": ("resumed a stock ({})", "resume a stock ({})"),
    "restrict-stock": ("restricted a stock ({})", "restrict a stock ({})"),
    "unrestrict-stock": ("lifted a restriction ({})", "lift a restriction ({})"),
    "limit": ("set an order limit ({})", "set an order limit ({})"),
    "close-market": ("proposed a market closure ({})", "propose a market closure ({})"),
    "reopen-market": ("proposed to remove a market closure ({})", "propose to remove a market closure ({})"),
    "accept-list": ("proposed to accept the short list of stocks", "propose to accept the short list of stocks"),
    "judge-again": ("had the report of {} judged again", "have the report of {} judged again"),
    "end-trade": ("entered how {} ended", "enter how {} ended"),
    "approve-ending": ("approved the ending of {}", "approve the ending of {}"),
    "decline-ending": ("declined the ending of {}", "decline the ending of {}"),
    "appoint": ("added a member of staff ({})", "add a member of staff ({})"),
    "set-roles": ("changed the roles of {}", "change the roles of {}"),
    "reset-factor": ("reset the second factor of {}", "reset the second factor of {}"),
    "sign in": ("signed in", "sign in"),
    "sign out": ("signed out", "sign out"),
    "make token": ("made a token", "make a token"),
    "set up second factor": ("set up a second factor", "set up a second factor"),
    "search": ("searched for “{}”", "search for “{}”"),
    "export": ("exported {}", "export {}"),
}


def sentence_of(entry: AuditEntry) -> str:
    """Return an audit entry as a sentence: sam@example.com froze the trading of ada@example.com."""
    done, attempted = DONE.get(entry.action) or _derived(entry)
    done, attempted = (text.replace("{}", entry.subject or "somebody") for text in (done, attempted))
    done, attempted = done.replace(" (somebody)", ""), attempted.replace(" (somebody)", "")
    if entry.outcome == Outcome.ASKED:
        return f"{entry.staff} was about to {attempted}."
    if entry.outcome == Outcome.REFUSED:
        return f"{entry.staff} could not {attempted}."
    return f"{entry.staff} {done}."


def _derived(entry: AuditEntry) -> tuple[str, str]:
    """Return the text of an action that is a verb and what was seen, as those in DONE."""
    verb, _, rest = entry.action.partition(" ")
    if verb == "open" and rest in DONE:
        return f"opened the form to {DONE[rest][1]}", f"open the form to {DONE[rest][1]}"
    if verb == "view":
        page = rest.removesuffix(" as customer")
        return f"looked at the page “{page}” as {{}} sees it", f"look at the page “{page}” as {{}} sees it"
    article = "an " if verb == "see" and rest[:1] in "aeiou" else "a " if verb == "see" else ""
    done = f"{_PAST.get(verb, verb)} {article}{rest}".strip()
    names_subject = bool(entry.subject) and verb != "list"
    return (f"{done}: {{}}", f"{entry.action}: {{}}") if names_subject else (done, entry.action)


_PAST = {"see": "looked at", "list": "listed", "open": "opened the form"}
