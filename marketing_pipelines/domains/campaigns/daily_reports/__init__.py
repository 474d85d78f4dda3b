"""The report of each working day: a page and a picture of each organization, mailed to admins."""
