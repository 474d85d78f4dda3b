-- Amounts won on the day, by organization and currency.
select organization_id, coalesce(currency, '') as currency, sum(amount) as amount
from crm.deals
where status = 'won' and closed_at >= :start and closed_at < :end and amount is not null
group by 1, 2
order by 1, 2
