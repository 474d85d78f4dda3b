-- Gives the stored values of a renamed column of the sheet its new name.
update forms.submissions
set data = (data - cast(:former as text)) || jsonb_build_object(cast(:name as text), data -> :former)
where form_id = :form_id and data ? :former and not data ? :name
