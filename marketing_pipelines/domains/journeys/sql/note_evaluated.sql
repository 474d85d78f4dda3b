-- Stores the instant up to which a trigger has enrolled contacts.
update lifecycle.triggers set evaluated_at = :at where id = :id
