"""The stand-in central exchange: a separate process that plays the part of another company's system."""
