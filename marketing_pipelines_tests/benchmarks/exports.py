"""Exports of very many contacts in each row format, against COPY and DuckDB by themselves."""

from marketing_pipelines_tests.benchmarks.report import Measured, Report
from marketing_pipelines_tests.benchmarks.sites import Server

ORGANIZATION = "exported"
NARROW = "external_id,email,phone,first_name,last_name,lifecycle_stage,lead_score,created_at"
MOST_MEMORY = 150
_COMPANIES = """
insert into crm.companies (organization_id, external_id, name)
select 1, 'company' || n, 'Company ' || n from generate_series(1, 1000) as n
"""
# 24 columns of which few rows have all, and three attributes.
_CONTACTS = """
insert into crm.contacts (
    organization_id, external_id, email, phone, first_name, last_name, company_id, lifecycle_stage,
    lead_grade, lead_score, intent_score, lifecycle_stage_at, manual_override, enriched_at,
    enriched_fields, next_follow_up_at, follow_up_note, tags, timezone, attributes, created_at
)
select
    1, 'c' || lpad(n::text, 9, '0'), 'person' || n || '@example.org',
    case when n %% 2 = 0 then '+4930' || (1000000 + n) end,
    (array['Anna', 'Zoë', 'Jürgen', 'María'])[1 + n %% 4], 'O''Neill-' || n %% 5000,
    case when n %% 3 = 0 then 1 + n %% 1000 end,
    (array['lead', 'mql', 'sql', 'customer'])[1 + n %% 4], (array['A', 'B', 'C'])[1 + n %% 3],
    n %% 100, n %% 90, at + interval '1 day', false,
    case when n %% 5 = 0 then at + interval '2 days' end,
    case when n %% 5 = 0 then '{job_title}'::text[] else '{}' end,
    case when n %% 7 = 0 then at + interval '9 days' end,
    case when n %% 10 = 0 then 'Said "call me, again", see =SUM(A1)' end,
    case when n %% 4 = 0 then array['vip', 'tag' || n %% 50] else '{}' end, 'Europe/Berlin',
    jsonb_build_object('city', 'City ' || n %% 700, 'plan', 'pro', 'seats', n %% 40), at
from (
    select n, timestamptz '2026-01-01' + n * interval '1.234567 seconds' as at
    from generate_series(1, %s::bigint) as n
) as made
"""


def measure(server: Server, report: Report, repeat: int, contacts: int) -> None:
    """Rounds of all formats and of the bare copies, in turn, so that all see the same machine."""
    site = server.new_site("exports")
    report.say(f"making {contacts:,} contacts")
    site.execute("insert into crm.organizations (external_id) values (%s)", ORGANIZATION)
    site.execute(_COMPANIES)
    site.execute(_CONTACTS, contacts)
    site.settle()
    works = {
        "COPY": ("bare_copy",),
        "csv": ("export_rows", "csv"),
        "json": ("export_rows", "json"),
        "DuckDB": ("bare_parquet",),
        "parquet": ("export_rows", "parquet"),
        "xlsx": ("export_rows", "xlsx", NARROW),
    }
    rounds = [{name: site.child(*work) for name, work in works.items()} for _ in range(repeat)]

    def against(format_: str, bare: str, least: float, note: str) -> None:
        ratios = [one[bare]["seconds"] / one[format_]["seconds"] for one in rounds]
        name = f"export {contacts:,} contacts as {format_} : {bare}"
        report.add(Measured(name, ratios, "×", least, at_least=True, note=note))

    against("csv", "COPY", 0.4, "the same rows, columns and order as csv")
    against("json", "COPY", 0.4, "the same rows, columns and order as csv")
    against("parquet", "DuckDB", 0.5, "the same rows read as Arrow, written by DuckDB's COPY")
    rates = [one["xlsx"]["rows"] / one["xlsx"]["seconds"] for one in rounds]
    report.add(Measured("export xlsx", rates, "rows/s", 20_000, at_least=True, note="8 columns"))
    for name in ("csv", "json", "parquet", "xlsx"):
        assert all(one[name]["rows"] == contacts for one in rounds), rounds
        above = [one[name]["peak_mb"] - one[name]["idle_mb"] for one in rounds]
        note = f"{rounds[0][name]['size'] / 1e6:.0f} MB of file"
        report.add(
            Measured(f"export {name}, memory above idle", above, "MB", MOST_MEMORY, note=note)
        )
