"""The job, one for each trade; of one customer's jobs one runs at a time, in their order."""

from procrastinate.contrib.django import app

from broker import trading


@app.task
def send_next(customer_id):
    trading.send_next(customer_id)


def enqueue(customer_id):
    """Part of the transaction that is open: the job is there when it commits."""
    send_next.configure(lock=f"customer-{customer_id}").defer(customer_id=customer_id)
