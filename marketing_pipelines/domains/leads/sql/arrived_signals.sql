-- The oldest arrivals of an organization before the tick. Those of contacts that were scored as of a
-- later instant are left to a later tick.
select arrival.id, arrival.contact_id, arrival.is_signal, arrival.first_at,
       least(arrival.last_at, :tick) as last_at
from leads.signal_arrivals as arrival
where arrival.organization_id = :organization_id and arrival.first_at < :tick
    and not exists (
        select from leads.scorings as scoring
        where scoring.organization_id = :organization_id and scoring.at > :tick
            and (scoring.contact_id = arrival.contact_id or scoring.contact_id is null)
    )
order by arrival.id
limit :size
