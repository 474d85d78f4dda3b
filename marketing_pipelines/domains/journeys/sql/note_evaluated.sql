-- Notes up to when a trigger has let contacts in.
update lifecycle.triggers set evaluated_at = :at where id = :id
