-- The status of a program, which is held until the transaction ends; null if it is gone. Earlier
-- commits are visible, and no other transaction can complete it.
select lifecycle.hold_program(:kind, :id)
