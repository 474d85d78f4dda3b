-- Gives submissions the identity of the columns that identify them now. Of several with one identity
-- the first present one has it; the others are rows that the sheet has no more.
with renewed as (
    select id, identity,
           row_number() over (
               partition by identity order by is_held desc, missing_since is not null, id
           ) as place
    from (
        select id, missing_since, identity not like 'former:%' as is_held,
               forms.identity_of(data, :keys, :mapped) as identity
        from forms.submissions
        where form_id = :form_id
    ) as own
)
update forms.submissions as submission
set identity = case renewed.place when 1 then renewed.identity else submission.identity end,
    missing_since = case renewed.place
        when 1 then submission.missing_since else coalesce(submission.missing_since, :tick) end
from renewed
where renewed.id = submission.id and submission.identity like 'former:%'
