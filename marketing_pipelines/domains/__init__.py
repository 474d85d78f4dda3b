"""One folder per business noun; `definitions.build_defs` finds what is in them."""
