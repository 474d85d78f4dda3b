-- The status of a program, which is held until the transaction ends; null where it is gone. What is
-- committed by now is seen, and nobody completes it meanwhile.
select lifecycle.hold_program(:kind, :id)
