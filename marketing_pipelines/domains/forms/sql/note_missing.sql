-- Notes the submissions whose rows are gone.
update forms.submissions as stored
set missing_since = :tick
where stored.form_id = :form_id and stored.missing_since is null
    and not exists (
        select from read_submissions as own where own.identity = stored.identity
    )
