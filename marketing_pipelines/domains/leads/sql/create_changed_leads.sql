-- The contacts whose score or grade the transaction changes, with the grade before.
create temporary table changed_leads (
    contact_id bigint, was text, grade text, score integer
) on commit drop
