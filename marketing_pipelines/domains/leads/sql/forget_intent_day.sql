-- Removes the rows of a day of contacts that have no score at its end any more.
delete from leads.intent_days as day
where day.organization_id = :organization_id and day.date = :date
    and not exists (select from scored_contacts as scored where scored.contact_id = day.contact_id)
