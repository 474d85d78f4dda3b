-- The submissions of a reading: of rows with one identity the one submitted last counts.
insert into read_submissions (
    identity, row_hash, position, copies, data, fields, address, external_id, submitted_at, problem
)
select distinct on (identity)
       identity, encode(sha256(convert_to(data::text, 'UTF8')), 'hex'), position,
       count(*) over (partition by identity), data, fields, delivery.address_of('email', address),
       external_id, submitted_at, problem
from (
    select forms.identity_of(data, :keys, :mapped) as identity, sheet_rows.*
    from sheet_rows
) as identified
order by identity, submitted_at desc nulls last, position desc
