-- The names of erased persons that a new or edited submission gives: they begin anew.
select distinct named.kind, named.given
from read_submissions as own
cross join lateral (
    values ('email', own.address), ('external_id', own.external_id), ('sms', own.fields ->> 'phone'),
           ('push', own.fields ->> 'push_token')
) as named (kind, given)
where own.is_changed
    and ops.is_erased(:inner_block, :outer_block, :organization_id, named.kind, named.given)
order by named.kind, named.given
