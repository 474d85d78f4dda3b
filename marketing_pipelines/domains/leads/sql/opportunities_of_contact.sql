-- The opportunities of a contact, with the points of the ledger up to a day.
select opportunity.external_id, opportunity.score as base_score,
       coalesce(sum(ledger.points), 0) as points, count(ledger.date) as days
from crm.opportunities as opportunity
left join leads.opportunity_points as ledger
    on ledger.opportunity_id = opportunity.id and ledger.date < cast(:date as date)
where opportunity.contact_id = :contact_id
group by opportunity.id
order by opportunity.id
