"""Queues and tasks are declared once, under names that can be used."""

from pathlib import Path

import pytest

from marketing_pipelines.domains.crm.tasks import CRM_EVENTS
from marketing_pipelines.queueing import queues, tasks
from marketing_pipelines.queueing.queues import DEFAULT, Queue
from marketing_pipelines.queueing.tasks import UnknownTaskError
from marketing_pipelines.settings import Settings
from marketing_pipelines_tests import given_program
from marketing_pipelines_tests.queueing.installed import install, recording

WHOLE = """
from marketing_pipelines.queueing.queues import DEFAULT
from marketing_pipelines.queueing.tasks import task

@task(queue=DEFAULT)
def work(context):
    pass
"""


def test_a_queue_takes_from_the_settings_what_it_does_not_say() -> None:
    settings = Settings(queue_concurrency=7, queue_max_jobs_per_second=9)
    assert (DEFAULT.concurrency_by(settings), DEFAULT.limit_by(settings)) == (7, None)
    assert (CRM_EVENTS.concurrency_by(settings), CRM_EVENTS.limit_by(settings)) == (7, 9)
    own = Queue("own", 2, per_second=3)
    assert (own.concurrency_by(settings), own.limit_by(settings)) == (2, 3)
    assert CRM_EVENTS.limit_by(Settings()) == 5


def test_a_queue_declared_twice_is_one_and_two_of_a_name_are_refused() -> None:
    assert queues.declare(Queue("default")) == DEFAULT
    with pytest.raises(ValueError, match="declared twice, differently"):
        queues.declare(Queue("default", 99))


@pytest.mark.parametrize("name", ["", "Upper", "with space", "x" * 41, "9th", "a#b"])
def test_a_name_that_is_no_channel_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="A queue's name"):
        Queue(name)


def test_a_task_is_named_after_its_domain_and_function_and_declared_once() -> None:
    install()
    write = recording("write")
    assert (write.name, write.queue) == ("recording/write", DEFAULT)
    with pytest.raises(ValueError, match="recording/write is declared twice"):
        tasks.task(queue=DEFAULT, name="recording/write")(write.function)
    with pytest.raises(UnknownTaskError, match="declares the task recording/nothing"):
        tasks.find("recording/nothing")


def test_a_broken_file_of_tasks_is_left_out_and_the_others_load(tmp_path: Path) -> None:
    """Also when they are loaded a second time."""
    for name, content in (("broken", f"{WHOLE}import nothing_like_it"), ("whole", WHOLE)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
        (tmp_path / name / "tasks.py").write_text(content)
    program = (
        "import logging; logging.disable();"
        "from marketing_pipelines import domains;"
        f"domains.__path__.append({str(tmp_path)!r});"
        "from marketing_pipelines.domains import load_tasks;"
        "from marketing_pipelines.queueing import tasks;"
        "print([load_tasks(), load_tasks()], tasks.import_errors,"
        " [name for name in tasks.declared() if name.endswith('/work')])"
    )
    reason = "ModuleNotFoundError: No module named 'nothing_like_it'"
    module = "marketing_pipelines.domains.broken.tasks"
    import_errors = {module: reason}
    declared = ["broken/work", "whole/work"]
    assert (
        given_program.printed(program)
        == f"{[import_errors, import_errors]} { ({'broken': reason}) } {declared}\n"
    )
