"""Raw mail in files: none without a row stays, and none that a row names goes."""

from collections.abc import Iterator

import pytest

from marketing_pipelines_tests.inbox.world import FIVE_MINUTES, TICK, Mailboxes, mail

CHECK = "alter table inbox.email_messages add constraint never check (subject is null) not valid"


def files(world: Mailboxes) -> set[str]:
    """The files of mail, by their paths."""
    folder = world.installation.settings.data_dir / "files"
    return {str(path.relative_to(folder)) for path in folder.rglob("*.eml")}


def named(world: Mailboxes) -> set[str]:
    """The files that rows name."""
    return {path for (path,) in world.rows("select raw_path from inbox.email_messages")}


def noted(world: Mailboxes) -> set[str]:
    return {path for (path,) in world.rows("select path from inbox.raw_files")}


@pytest.fixture(autouse=True)
def without_files(world: Mailboxes) -> Iterator[None]:
    """Removes the files of the tests before."""
    for path in files(world):
        (world.installation.settings.data_dir / "files" / path).unlink()
    yield
    world.execute("alter table inbox.email_messages drop constraint if exists never")


def test_files_whose_rows_were_not_committed_go_unless_the_mails_come_again(
    world: Mailboxes,
) -> None:
    world.receive(mail(1), mail(2))
    world.connect_anna()
    # The database refuses the rows when the files are written.
    world.execute(CHECK)
    assert world.sync()["failed"] == 1
    left = files(world)
    assert (len(left), noted(world), named(world)) == (2, left, set())
    world.execute("alter table inbox.email_messages drop constraint never")
    world.server.folders["INBOX"].mails.pop(0)
    assert world.sync(TICK + FIVE_MINUTES)["rows"] == 1
    assert files(world) == named(world) < left
    assert noted(world) == set()


def test_of_two_copies_of_a_mail_the_file_that_the_row_names_stays(world: Mailboxes) -> None:
    world.receive(mail(1), mail(1, headers={"Received": "by mx.acme.example"}))
    world.connect_anna()
    assert world.sync()["rows"] == 1
    assert len(files(world)) == 2
    assert noted(world) == files(world) - named(world)
    world.sync(TICK + FIVE_MINUTES)
    assert files(world) == named(world)
    assert noted(world) == set()


def test_a_note_of_a_file_that_a_row_names_goes_without_the_file(world: Mailboxes) -> None:
    world.receive(mail(1))
    world.connect_anna()
    world.sync()
    world.execute(
        "insert into inbox.raw_files (path, organization_id, identity)"
        " select raw_path, organization_id, identity from inbox.email_messages"
    )
    world.sync(TICK + FIVE_MINUTES)
    assert len(files(world)) == 1
    assert files(world) == named(world)
    assert noted(world) == set()
