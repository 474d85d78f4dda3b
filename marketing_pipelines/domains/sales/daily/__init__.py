"""Insights of a day: numbers of each organization, compared with the same weekdays before."""
