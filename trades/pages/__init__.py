"""The pages of trading: home, a stock's page, the ticket, and the trade history."""
