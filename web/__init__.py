"""Code shared by every door: authentication, rate limits, REST base classes, problem details, time zones, PDF, filters.

It imports no app. The settings `TOKEN_STORE` and `PROBLEMS` name what it needs from one.
"""
