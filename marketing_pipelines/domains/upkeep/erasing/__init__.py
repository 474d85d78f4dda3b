"""Erasures of persons: the ledger, the tables, the files, the lake, and the proof."""
