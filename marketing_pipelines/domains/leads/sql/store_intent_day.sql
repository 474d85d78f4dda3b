-- Stores the scores of a day; equal rows are not touched.
insert into leads.intent_days as day (organization_id, contact_id, date, score, band)
select :organization_id, contact_id, :date, score, band
from scored_contacts
order by contact_id
on conflict (contact_id, date) do update set score = excluded.score, band = excluded.band
where (day.score, day.band) is distinct from (excluded.score, excluded.band)
