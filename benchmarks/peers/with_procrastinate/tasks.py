"""The job, one per trade. A customer's jobs run in order, one at a time."""

from procrastinate.contrib.django import app

from broker import trading


@app.task
def send_next(customer_id):
    trading.send_next(customer_id)


def enqueue(customer_id):
    """Enqueue a job as part of the current transaction."""
    send_next.configure(lock=f"customer-{customer_id}").defer(customer_id=customer_id)
