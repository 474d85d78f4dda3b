-- The message of each recipient of an earlier request, in its order, as it is now.
select message.id, message.state, message.reason
from unnest(cast(:ids as bigint[])) with ordinality as listed (id, place)
join delivery.messages as message on message.id = listed.id
order by listed.place
