-- Takes the identities of submissions away that other columns identify from now on.
update forms.submissions
set identity = 'former:' || id
where form_id = :form_id
    and identity is distinct from forms.identity_of(data, :keys, :mapped)
