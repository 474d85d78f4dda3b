"""Partitions and their freshness: windows, stale partitions, propagation, schedules' instants.

A partition is stale when its source changed; `propagation` marks the partitions above it. The
modules here decide what is due; they start no runs and write no business table.
"""
