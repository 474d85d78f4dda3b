"""`action`: scheduled actions on the command line."""

import json

from marketing_pipelines_tests.cli.console import call_here
from marketing_pipelines_tests.installation import Installation


def said(*arguments: str) -> str:
    done = call_here("action", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_an_action_is_scheduled_seen_changed_and_cancelled(
    shared_installation: Installation,
) -> None:
    shared_installation.execute("insert into crm.organizations (external_id) values ('acme')")
    order = ("schedule", "crm:remind", "--organization", "acme", "--at", "2099-01-01T00:00:00Z")
    refused = call_here("action", *order)
    assert "--at: lies more than ten years ahead." in refused.stderr
    refused = call_here("action", *order[:-2])
    assert "An action has either --at or --every." in refused.stderr
    order = ("schedule", "crm:remind", "--organization", "acme", "--every", "0 9 1 1 *")
    order = (*order, "--zone", "UTC", "--payload", '{"user": "ann"}', "--key", "k")
    assert said(*order).startswith("action 1 is due at ")
    assert said(*order).endswith("; it was there already\n")
    assert "crm:remind" in said("list", "--organization", "acme", "--state", "active")
    assert said("pause", "1") == "action 1 is paused\n"
    assert json.loads(said("show", "1"))["state"] == "paused"
    assert call_here("action", "run", "1").stderr.endswith(
        "Action 1 is paused and cannot be run.\n"
    )
    assert said("resume", "1") == "action 1 is active\n"
    assert said("run", "1") == "action 1 is due now\n"
    assert said("cancel", "1") == "action 1 is cancelled\n"
    assert said("list", "--state", "active").strip().count("\n") == 0
    assert "There is no action 7" in call_here("action", "show", "7").stderr
    assert (
        "--payload is not a JSON object."
        in call_here("action", *order[:-4], "--payload", "[]").stderr
    )
