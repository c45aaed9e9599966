"""What is touched of libraries behind their public interface: a module for each, the only place that does.

`versions` refuses others than these were written against, and `tests/unit/workloads/test_library_insides.py` fails when
one of them looks different inside.
"""
