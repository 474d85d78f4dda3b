create or replace trigger count_version
before update on segments.segments
for each row when (old.rule is distinct from new.rule)
execute function segments.count_version();
