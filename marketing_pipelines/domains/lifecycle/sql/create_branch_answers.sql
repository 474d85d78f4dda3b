-- The contacts for which the rules of steps, exits and goals hold.
create temporary table if not exists branch_answers (question_id bigint, contact_id bigint)
on commit delete rows;
truncate branch_answers
