"""The highly available brokerage on one machine, with a network namespace for each node.

`make cluster` runs it from the files in `deploy/` that real hosts use too. A node can be killed, cut off from all
others, or prevented from reaching one of them. Needs root on Linux. Imports no app.
"""
