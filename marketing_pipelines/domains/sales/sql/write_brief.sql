-- Writes the brief of a meeting's version, once.
insert into sales.meeting_briefs (
    organization_id, meeting_id, version, headline, key_points, talking_points, questions, facts,
    writer, created_at
)
values (
    :organization_id, :meeting_id, :version, :headline, cast(:key_points as jsonb),
    cast(:talking_points as jsonb), cast(:questions as jsonb), cast(:facts as jsonb), 'rules', :tick
)
on conflict (meeting_id, version) do nothing
returning id
