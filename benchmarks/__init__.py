"""The benchmark: `make bench`. README.md in this folder explains what is measured and how to read it."""
