-- Stores that a segment is tried; if it fails from here on, it is evaluated again for all contacts.
insert into segments.evaluations (segment_id, attempted_version, attempted_at)
values (:id, :version, :now)
on conflict (segment_id) do update
set attempted_version = excluded.attempted_version,
    attempted_at = excluded.attempted_at,
    evaluated_at = null
