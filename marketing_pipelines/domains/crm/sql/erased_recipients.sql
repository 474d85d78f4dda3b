-- The places of the addresses that are those of erased persons.
select asked.place
from jsonb_to_recordset(cast(:asked as jsonb)) as asked (place integer, address text)
where asked.address is not null
    and ops.is_erased(:inner_block, :outer_block, :organization_id, :channel, asked.address)
order by asked.place
