"""Grants that several processes refresh, or one that is killed on the way."""

import datetime as dt
import random
import signal
import time

import pytest

from marketing_pipelines.domains.integrations.grants import (
    GrantRefusedError,
    GrantWaitsError,
    access_token,
)
from marketing_pipelines.settings import get_settings
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.integrations import asker
from marketing_pipelines_tests.integrations.service import Asked, Said, service
from marketing_pipelines_tests.integrations.token_server import Provider, kept, made
from marketing_pipelines_tests.integrations.world import Connected
from marketing_pipelines_tests.scale import soak_only
from marketing_pipelines_tests.waiting import until, waits_for_a_lock

pytestmark = pytest.mark.fault


@pytest.mark.fault(38)
def test_two_processes_that_need_a_token_at_once_make_one_call(
    shared_installation: Installation,
) -> None:
    world = Connected(shared_installation)
    with service() as outside:
        provider = Provider(outside)
        made(world, provider)

        def answer(asked: Asked) -> Said:
            until(lambda: waits_for_a_lock(world.installation.engine), what="the other to wait")
            return provider.answer(asked)

        outside.answer = answer
        with asker.started("google-ann") as one, asker.started("google-ann") as other:
            printed = {process.communicate(timeout=60)[0] for process in (one, other)}
        assert printed == {"access-1-bbbbbbbb\n"}
        assert len(outside.asked) == 1
        assert kept(world) == provider.valid


@pytest.mark.fault(38)
@pytest.mark.parametrize("forgives", [True, False], ids=["takes the former", "takes the latest"])
def test_a_process_killed_between_the_answer_and_its_commit(
    shared_installation: Installation, forgives: bool
) -> None:
    world = Connected(shared_installation)
    with service() as outside:
        provider = Provider(outside, forgives=forgives)
        grant = made(world, provider)
        with world.installation.engine.connect() as connection:
            connection.exec_driver_sql("lock table integrations.syncs in exclusive mode")
            with asker.started("google-ann") as process:
                try:
                    until(
                        lambda: waits_for_a_lock(world.installation.engine),
                        what="it to store its answer",
                    )
                finally:
                    process.send_signal(signal.SIGKILL)
                    process.wait()
            connection.rollback()
        assert provider.given == 1
        assert kept(world) == "refresh-0-aaaaaaaa"
        began = dt.datetime.now(dt.UTC)

        def token(minutes: int) -> str:
            at = began + dt.timedelta(minutes=minutes)
            return access_token(get_settings(), grant, clock=lambda: at)

        if forgives:
            assert token(0) == "access-2-bbbbbbbb"
            assert kept(world) == provider.valid == "refresh-2-aaaaaaaa"
            return
        with pytest.raises(GrantRefusedError):
            token(0)
        with pytest.raises(GrantWaitsError):
            token(10)
        assert [state for _, state, _ in world.state("oauth")] == ["reconnect"]
        # The person signs in again.
        made(world, provider)
        assert token(11) == "access-2-bbbbbbbb"


@pytest.mark.soak
@soak_only
def test_processes_killed_at_any_instant_leave_a_refresh_token_that_works(
    shared_installation: Installation,
) -> None:
    world = Connected(shared_installation)
    chance = random.Random(7)
    with service() as outside:
        provider = Provider(outside, forgives=True)
        provider.more = {"expires_in": 60}
        grant = made(world, provider)
        for _ in range(20):
            before = len(outside.asked)
            with asker.started("google-ann") as process:
                until(lambda: len(outside.asked) > before, what="its call")  # noqa: B023
                time.sleep(chance.uniform(0, 0.03))
                process.send_signal(signal.SIGKILL)
                process.wait()
            assert kept(world) in (provider.valid, provider.former)
            access_token(get_settings(), grant)
            assert kept(world) == provider.valid
