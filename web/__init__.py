"""What every door shares: authentication, rate limits, REST base classes, problem details, time zones, PDF, filters.

Imports no app: what it needs of one is named in the settings (`TOKEN_STORE`, `PROBLEMS`).
"""
