"""Text is true or false for rules in any case of its letters: the function is in `schema/`."""

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass
