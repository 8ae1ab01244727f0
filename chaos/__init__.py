"""The fault suite: the whole brokerage with real processes, a crowd of customers, faults at random, and a checker.

plan       what goes wrong, when and for how long: all of it from one seed
faults     makes it go wrong
processes  finds the processes that a fault is to hit
proxy      the network between the parts
site       the brokerage, started so that faults can be made
crowd      customers over HTTP
record     what was asked, what was answered, what went wrong
checker    what the record, the exchange and the tables prove
"""
