"""Queues of small tasks, enqueued in a transaction and done by worker processes.

Procrastinate brings the tables, the fetching and the worker's loop; this package brings declared
queues, set-based enqueueing, retry ladders, a rate limit over all workers, dead letters, and the
counts and commands around them. It knows no domain: domains declare queues and tasks in their
`tasks.py`.
"""
