"""Sentences with the rows that they come from, and the model that may write them anew."""
