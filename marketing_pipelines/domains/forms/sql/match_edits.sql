-- Finds the edited ones among the others: each stands where a submission stood that is gone now, with
-- the same address or, where either has none, with half of the mapped values equal.
with candidate as (
    select own.identity, stored.id, stored.data, stored.contact_id, own.address,
           case when stored.reason is null then
               delivery.address_of('email', stored.data ->> cast(:email as text))
           end as former_address,
           (
               select count(*) filter (
                          where forms.plain_value(stored.data -> name)
                              = forms.plain_value(own.data -> name)
                      ) * 2 >= count(*)
               from unnest(cast(:mapped as text[])) as name
               where stored.data ? name or own.data ? name
           ) as is_alike
    from read_submissions as own
    join forms.submissions as stored
        on stored.form_id = :form_id and stored.position = own.position
        and stored.missing_since is null
    where own.submission_id is null
        and not exists (
            select from read_submissions as present where present.submission_id = stored.id
        )
)
update read_submissions as own
set submission_id = candidate.id, former = candidate.data, contact_id = candidate.contact_id
from candidate
where candidate.identity = own.identity
    and coalesce(candidate.address = candidate.former_address, candidate.is_alike)
