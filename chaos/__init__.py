"""The fault suite: runs the whole brokerage under load, injects random faults, and checks the results.

plan       which faults happen, when and for how long, all derived from one seed
faults     injects the faults
processes  finds the processes that a fault targets
proxy      the network between the parts
site       the brokerage, started so that faults can be injected
crowd      simulated customers, over HTTP
record     a log of requests, responses and faults
checker    compares the record, the exchange and the tables
"""
