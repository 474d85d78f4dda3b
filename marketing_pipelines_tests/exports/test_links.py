"""The signed link of a file: good for some days, for nobody else's file, and never guessed."""

import datetime as dt
from pathlib import Path

from marketing_pipelines_tests.exports.exporting import NOW, Exporter


def link_of(exporter: Exporter, number: int) -> str:
    """The path of the link that an export shows."""
    return str(exporter.show(number)["url"]).removeprefix("http://127.0.0.1:8000")


def ready(exporter: Exporter, tmp_path: Path) -> int:
    """The number of an export that is ready."""
    exporter.load(tmp_path, "contacts", f"organization_id,external_id\n{exporter.name},c1\n")
    number: int = exporter.ask().json()["id"]
    exporter.work()
    return number


def test_a_link_gives_out_the_file(exporter: Exporter, tmp_path: Path) -> None:
    number = ready(exporter, tmp_path)
    link = link_of(exporter, number)
    answer = exporter.client.get(link)
    assert answer.status_code == 200
    assert answer.text.splitlines()[1].startswith(f"{exporter.name},c1,")
    assert answer.headers["content-disposition"] == (
        f'attachment; filename="contacts-2026-03-02-{number}.csv"'
    )
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-length"] == str(len(answer.content))
    head = exporter.client.head(link)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == answer.headers["content-length"]
    assert exporter.rows(
        "select actor, method, path, status from ops.audit_log"
        " where organization_id = :own and actor = 'link' order by id"
    ) == [
        ("link", "GET", f"/exports/{number}", 200),
        ("link", "HEAD", f"/exports/{number}", 200),
    ]


def test_an_expired_link_is_gone_and_a_forged_one_unknown(
    exporter: Exporter, tmp_path: Path
) -> None:
    link = link_of(exporter, ready(exporter, tmp_path))
    # The last character of a base64 text holds bits that mean nothing.
    forged = link[:-2] + ("A" if link[-2] != "A" else "B") + link[-1]
    assert exporter.client.get(forged).status_code == 404
    exporter.now = NOW + dt.timedelta(days=7) - dt.timedelta(seconds=1)
    assert exporter.client.get(link).status_code == 200
    exporter.now = NOW + dt.timedelta(days=7)
    assert exporter.client.get(link).status_code == 410


def test_a_link_from_before_a_restore_opens_no_later_file_of_its_number(
    exporter: Exporter, tmp_path: Path
) -> None:
    number = ready(exporter, tmp_path)
    link = link_of(exporter, number)
    other = Exporter(exporter.installation)
    # The row of the number is now another one's: another organization, or a later instant.
    for change, value in (
        ("organization_id = :value", other.organization),
        ("expires_at = expires_at + interval '1 microsecond' * :value", 1),
    ):
        assert exporter.client.get(link).status_code == 200
        exporter.installation.execute(
            f"update exports.requests set {change} where id = :number", value=value, number=number
        )
        assert exporter.client.get(link).status_code == 404
        exporter.installation.execute(
            "update exports.requests set organization_id = :own, expires_at = :at"
            " where id = :number",
            own=exporter.organization,
            at=NOW + dt.timedelta(days=7),
            number=number,
        )


def test_a_token_of_another_organization_sees_no_export(exporter: Exporter, tmp_path: Path) -> None:
    number = ready(exporter, tmp_path)
    other = Exporter(exporter.installation)
    path = f"/v1/exports/{number}"
    assert other.client.get(path, headers=other.bearer).status_code == 404
    assert other.client.delete(path, headers=other.bearer).status_code == 404
    assert other.ask(organization=exporter.name).status_code == 404
