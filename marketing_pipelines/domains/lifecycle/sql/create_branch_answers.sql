-- For which contacts the rules of steps hold.
create temporary table if not exists branch_answers (step_id bigint, contact_id bigint)
on commit delete rows;
truncate branch_answers
