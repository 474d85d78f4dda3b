-- Stages the contacts of `changes` for another segment.
insert into moved (segment_id, contact_id) select :id, contact_id from changes
