-- Notes the instant as of which contacts were scored; null = all of the organization. Scores as of an
-- instant ahead do not hold up those of the present.
insert into leads.scorings as known (organization_id, contact_id, score, at)
select :organization_id, contact_id, :score, least(cast(:instant as timestamptz), clock_timestamp())
from unnest(cast(:contacts as bigint[])) as scored (contact_id)
group by contact_id
order by contact_id
on conflict (organization_id, contact_id, score) do update set at = excluded.at
where known.at < excluded.at
