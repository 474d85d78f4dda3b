"""Fault 45: a segment of very many contacts is evaluated in little memory."""

from pathlib import Path

import pytest

from marketing_pipelines_tests.faults.crowd import HOUR, NOW, Crowd, evaluated
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.scale import SOAK

pytestmark = [pytest.mark.fault, pytest.mark.soak]

CONTACTS = 5_000_000 if SOAK else 10_000
MAX_MB = 512
SECONDS = 3_600 if SOAK else 240


@pytest.mark.fault(45)
@pytest.mark.timeout(3 * SECONDS)
def test_fault_45_a_segment_of_very_many_contacts_is_evaluated_in_little_memory(
    installation: Installation, tmp_path: Path
) -> None:
    """First everybody enters; then half leave, which is told of each, and as many enter."""
    crowd = Crowd(installation, tmp_path)
    crowd.grow(CONTACTS)
    installation.execute(
        "update crm.organizations set settings ="
        " jsonb_build_object('segments', jsonb_build_object('timeout_seconds', :limit))",
        limit=SECONDS,
    )
    half = CONTACTS // 2
    crowd.rule("large", {"attribute": "n", "op": "<=", "value": half})
    evaluated(NOW, SECONDS)
    crowd.rule("large", {"attribute": "n", "op": "between", "value": [half // 2 + 1, CONTACTS]})
    evaluated(NOW + HOUR, SECONDS)
    rows = installation.rows(
        "select rss_peak_mb, (metadata ->> 'rows')::int from ops.job_sessions order by id"
    )
    assert [changes for _, changes in rows] == [half, CONTACTS - half // 2]
    for peak, _ in rows:
        assert 0 < peak < MAX_MB
    assert installation.rows("select members from segments.evaluations") == [
        (CONTACTS - half // 2,)
    ]
