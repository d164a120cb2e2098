"""Judging a run by rows: figures with intervals, tables, and whether two runs differ."""
