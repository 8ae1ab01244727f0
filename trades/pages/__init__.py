"""The pages of trading: home, a stock, the ticket, trades."""
