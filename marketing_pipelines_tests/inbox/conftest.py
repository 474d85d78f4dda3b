"""A server of mail and mailboxes on it."""

from collections.abc import Iterator

import pytest

from marketing_pipelines_tests.inbox.imap_server import ImapServer, imap_server
from marketing_pipelines_tests.inbox.world import Mailboxes
from marketing_pipelines_tests.installation import Installation


@pytest.fixture
def mail_server() -> Iterator[ImapServer]:
    """A server on loopback with an empty INBOX."""
    with imap_server() as serving:
        yield serving


@pytest.fixture
def world(shared_installation: Installation, mail_server: ImapServer) -> Mailboxes:
    """Two organizations, the contact ben, and no connection."""
    return Mailboxes(shared_installation, mail_server)
