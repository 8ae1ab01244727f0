"""Pages of the back office that are no plain list: each module gathers what one page shows."""
