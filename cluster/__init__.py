"""The highly available brokerage on one machine: every node in a network namespace of its own.

`make cluster` runs it from the files in `deploy/`, which are the ones that real hosts use. A node can be killed whole,
cut off from all others, or made deaf to one of them. Needs root on Linux. Imports no app.
"""
