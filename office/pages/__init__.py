"""The pages of the back office that are not lists. Each module gathers the data of one page."""
