"""The bodies of webhooks: external ids, and at most 256 KB."""

import json

import pytest
import sqlalchemy as sa

from marketing_pipelines.domains.crm.events import TaskCreated
from marketing_pipelines.domains.webhooks.bodies import MAX_BODY
from marketing_pipelines_tests.webhooks.world import Receiver, WebhookWorld


@pytest.mark.parametrize("length", [8, 60])
def test_a_large_load_fits_into_a_body_and_says_what_was_cut(
    hooked: WebhookWorld, receiver: Receiver, length: int
) -> None:
    hooked.add(receiver.url, "*")
    hooked.installation.execute(
        "insert into crm.contacts (organization_id, external_id)"
        f" select {hooked.organization}, lpad(n::text, {length}, 'ä')"
        " from generate_series(1, 10000) as n"
    )
    hooked.work()
    [received] = receiver.requests
    size, data = len(received.body.encode()), received.json["data"]
    assert 100_000 < size <= MAX_BODY
    if length == 8:
        assert (len(data["contacts"]), data["source"]) == (10_000, "import")
        assert "cut" not in data
    else:
        assert set(data) == {"cut", "organization", "contacts", "contacts_in_all"}
        assert (data["cut"], data["contacts_in_all"]) == (True, 10_000)
        assert data["contacts"][0] == "1".rjust(60, "ä")
        assert 1_000 < len(data["contacts"]) < 10_000


def test_a_task_has_its_external_id_if_it_has_one_and_else_its_number(
    hooked: WebhookWorld, receiver: Receiver
) -> None:
    hooked.add(receiver.url, "*")
    with hooked.begin() as connection:
        numbers = [
            connection.execute(
                sa.text(
                    "insert into crm.tasks (organization_id, title, external_id, job, subject,"
                    " period, state, created_at)"
                    " values (:own, 't', :name, :job, 's', '1', 'done', now()) returning id"
                ),
                {"own": hooked.organization, "name": name, "job": job},
            ).scalar_one()
            for name, job in (("T-1", "i"), (None, "j"))
        ]
    hooked.publish(
        *(TaskCreated(organization_id=hooked.organization, task=number) for number in numbers)
    )
    hooked.work()
    sent = [received.json["data"]["task"] for received in receiver.requests]
    assert sorted(sent) == sorted(["T-1", str(numbers[1])])
    assert "campaign_id" not in json.dumps(sent)
