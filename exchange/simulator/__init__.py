"""The stand-in central exchange: a process of its own that stands for somebody else's system."""
