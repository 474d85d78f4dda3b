"""An organization that sells, loaded from files, and what the jobs of sales leave."""

import datetime as dt
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from marketing_pipelines.running import Outcome
from marketing_pipelines_tests.installation import Installation

WRITTEN = (
    "sales.stale_deals",
    "sales.meeting_briefs",
    "sales.insights",
    "crm.tasks",
    "crm.notifications",
    "delivery.messages",
)


@dataclass
class Sales:
    """Files of organizations; ids are external ids."""

    installation: Installation
    folder: Path
    organization: str = "acme"
    _files: int = field(default=0)

    def load(self, kind: str, *rows: dict[str, Any], organization: str | None = None) -> None:
        """Loads rows of a kind; every one must be good."""
        self._files += 1
        path = self.folder / f"{kind}-{self._files}.jsonl"
        own = (
            {}
            if kind == "organizations"
            else {"organization_id": organization or self.organization}
        )
        path.write_text("\n".join(json.dumps(own | row, default=str) for row in rows))
        result = self.installation.load(kind, path)
        assert result.rejected == 0, result

    def run(self, job: str, at: dt.datetime) -> list[Outcome]:
        """Runs a job for a tick."""
        return self.installation.run(job, at=at)

    def rows(self, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        return self.installation.rows(statement, **parameters)

    def fingerprint(self) -> str:
        """A hash of all rows that the jobs write, without numbers that only count."""
        found = []
        for table in WRITTEN:
            rows = self.rows(f"select to_jsonb(one) - 'id' from {table} as one")
            found += sorted(json.dumps(row[0], sort_keys=True) for row in rows)
        found += [
            str(row) for row in self.rows("select external_id, tags from crm.deals order by 1")
        ]
        return hashlib.sha256("\n".join(found).encode()).hexdigest()
