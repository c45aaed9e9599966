"""The benchmarks' tables for the report: arms by subtask, and controls beside them."""
