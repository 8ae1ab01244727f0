"""A year's gains as a PDF document."""

from accounts.gains import gains_of, totals_of
from accounts.models import Customer
from web import pdf
from web.parts import get_part
from web.templatetags.figures import cents, day, signed_cents

TOTALS = ["Term", "Proceeds", "Cost", "Gain"]
COLUMNS = ["Stock", "Acquired", "Sold", "Shares", "Proceeds", "Cost", "Gain", "Term"]
PIECES_A_DOCUMENT = 500


def gains_pdf(customer_id: int, year: int, part: int = 1) -> bytes:
    """Return one part of a year's gains as a PDF. The same closings always give the same bytes.

    Raises:
        Http404: The year has fewer parts.
    """
    sold = gains_of(customer_id, year)
    document_part = get_part(sold.order_by("closed_on", "id"), PIECES_A_DOCUMENT, part)
    totals = totals_of(sold)
    sums = [
        [name, cents(totals[term].proceeds), cents(totals[term].cost), signed_cents(totals[term].gain)]
        for name, term in (("Short term", False), ("Long term", True))
    ]
    rows = [
        [
            *(piece.ticker, day(piece.acquired_on), day(piece.closed_on), f"{piece.quantity:,}"),
            *(cents(piece.proceeds), cents(piece.cost), signed_cents(piece.gain)),
            ("long" if piece.is_long_term else "short") + (", wash" if piece.is_wash_sale else ""),
        ]
        for piece in document_part.rows
    ]
    pieces = (
        pdf.Table([COLUMNS, *rows], [0.7, 1.3, 1.3, 0.8, 1.2, 1.2, 1.2, 1], 3) if rows else pdf.Text("None were sold.")
    )
    customer = Customer.objects.get(id=customer_id)
    name = pdf.printable(customer.name, customer.email) or customer.email
    return pdf.document(
        f"Realized gains {year}" + (f", part {part} of {document_part.count}" if document_part.count > 1 else ""),
        f"{name} · Account {customer_id} · by trade date · proceeds net of fees, costs with fees",
        [pdf.Table([TOTALS, *sums], [2, 1, 1, 1], 1), pdf.Gap(18), *pdf.heading("Sold lots"), pieces],
        "Wash sales (a loss, and the same stock bought within 30 days) are marked, not adjusted · all amounts in USD",
    )
