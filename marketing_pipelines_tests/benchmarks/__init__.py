"""Speed and memory against limits: `python -m marketing_pipelines_tests.benchmarks`, `make bench`.

No tests: they need an unloaded machine and minutes. The installation they measure is their own,
with its own PostgreSQL, and is removed afterwards. What is measured runs in a fresh child process
each time, so that memory and imports of one measurement never flatter the next.
"""
