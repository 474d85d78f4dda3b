"""The mail that says that an export is ready."""

import datetime as dt
from typing import Any

import sqlalchemy as sa
