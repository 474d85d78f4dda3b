-- The contacts whose score or band the transaction changes, with the band before.
create temporary table changed_intents (
    contact_id bigint, was text, band text, score integer
) on commit drop
