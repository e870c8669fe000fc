"""Data sets of labelled faces, read from their official layouts and split without leaks."""
