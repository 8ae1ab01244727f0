"""More jobs of the sweep and their intervals in seconds. They are given by name, because trades imports no such app."""

from brokerage import environment

# How often the charts of all stocks are read from the exchange, so that no page waits for them.
CHARTS_SECONDS = environment.number("CHARTS_SECONDS", 10, minimum=1, maximum=86_400)

SWEEP_JOBS = {
    "office.schedule.find_cases": 1.0,
    "office.schedule.run_jobs": 1.0,
    "office.heartbeat.ask": 5.0,
    "accounts.notice_mail.send_notices": 1.0,
    "accounts.mail.deliver": 0.5,
    "trades.mails.mail_trades": 2.0,
    "trades.valuation.read_charts": float(CHARTS_SECONDS),
    "accounts.statement_notices.enter_notices": 600.0,
    "trades.closing_prices.store_closing_prices": 600.0,
    "webhooks.queue.enter_events": 0.5,
    "webhooks.delivery.deliver": 0.5,
}
