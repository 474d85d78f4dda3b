-- Notes that a segment is tried; whatever fails from here on is evaluated anew for everybody.
insert into segments.evaluations (segment_id, attempted_version, attempted_at)
values (:id, :version, :now)
on conflict (segment_id) do update
set attempted_version = excluded.attempted_version,
    attempted_at = excluded.attempted_at,
    evaluated_at = null
