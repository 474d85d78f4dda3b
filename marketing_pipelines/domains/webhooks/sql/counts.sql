-- Deliveries that wait, and endpoints by state.
select (select count(*) from webhooks.deliveries where state in ('draft', 'waiting')) as waiting,
       count(*) filter (where state = 'active') as active_endpoints,
       count(*) filter (where state = 'failing') as failing_endpoints,
       count(*) filter (where state = 'disabled') as disabled_endpoints
from webhooks.endpoints
