"""The rows of the ledger, and the files that carry them past a restored database."""

import dataclasses
import datetime as dt
import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from cryptography.fernet import InvalidToken, MultiFernet

from marketing_pipelines.domains.upkeep.erasing.tables import erasures
from marketing_pipelines.failures import ConfigurationError, StoreUnavailableError
from marketing_pipelines.secret_keys import fernets
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores import ledger as ledgers
from marketing_pipelines.stores.files import FileStore
from marketing_pipelines.stores.ledger import Ledger
from marketing_pipelines.stores.persons import Identity
from marketing_pipelines.stores.tables import installation

FOLDER = "erasures"
PURPOSE = "ops.erasures.names"


def add(
    connection: sa.Connection,
    settings: Settings,
    ledger: Ledger,
    person: Identity,
    *,
    now: dt.datetime,
) -> uuid.UUID:
    """Adds the row of an erasure, or finds the one that goes on for these contacts.

    Two requests for one contact wait for each other here.
    """
    connection.execute(_LOCK)
    going_on = connection.execute(
        sa.select(erasures.c.id).where(
            erasures.c.contact_ids.contains(person.contact_ids),
            erasures.c.tables_done_at.is_(None),
        )
    ).scalar()
    if going_on is not None:
        return uuid.UUID(str(going_on))
    erasure_id: uuid.UUID = connection.execute(
        sa.insert(erasures)
        .values(
            organization_id=person.organization_id,
            contact_ids=person.contact_ids,
            hashes=hashes_of(connection, ledger, person),
            names=sealed(settings, person),
            requested_at=now,
        )
        .returning(erasures.c.id)
    ).scalar_one()
    return erasure_id


def hashes_of(connection: sa.Connection, ledger: Ledger, person: Identity) -> list[str]:
    """The keyed hashes of a person's names."""
    return ledgers.hashes_of(connection, ledger, person.organization_id, _names(person))


def without_lifted(
    connection: sa.Connection, ledger: Ledger, person: Identity, lifted: list[str]
) -> Identity:
    """The person without the names of a new relationship, whose rows are not those of the old."""
    if not lifted:
        return person

    gone = set(lifted)

    def kept(kind: str, names: list[str]) -> list[str]:
        return [
            name
            for name in names
            if gone.isdisjoint(
                ledgers.hashes_of(connection, ledger, person.organization_id, {kind: [name]})
            )
        ]

    return dataclasses.replace(
        person,
        external_ids=kept("external_id", person.external_ids),
        by_channel={channel: kept(channel, some) for channel, some in person.by_channel.items()},
        spellings=[
            name
            for name in person.spellings
            if all(kept(channel, [name]) for channel in ledgers.CHANNELS)
        ],
    )


def sealed(settings: Settings, person: Identity) -> str:
    """The names of a person, encrypted, for the time that its erasure goes on."""
    text = json.dumps(dataclasses.asdict(person))
    return fernets(settings, PURPOSE)[0].encrypt(text.encode()).decode()


def opened(settings: Settings, row: Any) -> Identity:
    """The names of the person of an erasure that goes on.

    Raises:
        ConfigurationError: no secret key opens them.
    """
    try:
        text = MultiFernet(fernets(settings, PURPOSE)).decrypt(row.names)
    except InvalidToken as error:
        raise ConfigurationError(
            f"The names of the erasure {row.id} were encrypted with another MARKETING_SECRET_KEY; "
            "add that key to MARKETING_OLD_SECRET_KEYS."
        ) from error
    return Identity(**json.loads(text))


def file_of(connection: sa.Connection, row: Any) -> bytes:
    """The content of `erasures/{id}.json`, for backups from before the erasure.

    It has the encrypted key of the hashes: a backup from before the first erasure has none.
    """
    key = connection.execute(sa.select(installation.c.erasure_key)).scalar_one()
    return _as_json(
        {
            "id": str(row.id),
            "organization_id": row.organization_id,
            "hashes": list(row.hashes),
            "lifted": list(row.lifted),
            "requested_at": row.requested_at.isoformat(),
            "erasure_key": key,
        }
    )


def write_file(settings: Settings, erasure_id: uuid.UUID, content: bytes) -> list[str]:
    """Writes the file of an erasure to the store of files and, where one is set, of backups.

    Returns:
        Sentences on stores that cannot be written; the others have the file.
    """
    problems = []
    for url, setting in _urls(settings):
        try:
            _replace(FileStore(url, setting), f"{FOLDER}/{erasure_id}.json", content)
        except (StoreUnavailableError, ConfigurationError) as error:
            problems.append(str(error))
    return problems


def encrypt_again(connection: sa.Connection, settings: Settings) -> int:
    """Encrypts the names of erasures that go on with the present secret key.

    Returns:
        Number of those that had another one.

    Raises:
        ConfigurationError: no secret key opens the names of one.
    """
    present, *_ = fernets(settings, PURPOSE)
    number = 0
    rows = connection.execute(
        sa.select(erasures).where(erasures.c.names.is_not(None)).with_for_update()
    )
    for row in rows.all():
        try:
            present.decrypt(row.names)
        except InvalidToken:
            again = sealed(settings, opened(settings, row))
            connection.execute(
                sa.update(erasures).where(erasures.c.id == row.id).values(names=again)
            )
            number += 1
    return number


def encrypt_files_again(settings: Settings) -> tuple[int, list[str]]:
    """Encrypts the key in the files of all erasures with the present secret key.

    Returns:
        Number of files that had another one, and sentences on those that cannot be written again.
    """
    number = 0
    problems: list[str] = []
    for store in _stores(settings):
        try:
            for file in list(store.files(FOLDER)):
                number += _encrypt_file_again(store, file.path, settings, problems)
        except StoreUnavailableError as error:
            problems.append(str(error))
    return number, problems


def _encrypt_file_again(
    store: FileStore, path: str, settings: Settings, problems: list[str]
) -> bool:
    try:
        read = json.loads(store.read(path))
        again = ledgers.encrypted_again(settings, read["erasure_key"])
    except ConfigurationError as error:
        problems.append(f"{path} at {store.url}: {error}")
        return False
    except (ValueError, KeyError, TypeError):
        problems.append(f"{path} at {store.url} is no file of an erasure: remove it.")
        return False
    if again is None:
        return False
    _replace(store, path, _as_json(read | {"erasure_key": again}))
    return True


def _as_json(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, indent=1).encode()


def _replace(store: FileStore, path: str, content: bytes) -> None:
    with store.writing(path) as file:
        file.write(content)


def _stores(settings: Settings) -> list[FileStore]:
    return [FileStore(url, setting) for url, setting in _urls(settings)]


def _urls(settings: Settings) -> list[tuple[str, str]]:
    """The stores of files and, where one is set, of backups, with the settings that name them."""
    urls = [(settings.effective_files_url, "MARKETING_FILES_URL")]
    if settings.backup_url is not None:
        urls.append((settings.backup_url, "MARKETING_BACKUP_URL"))
    return urls


@dataclasses.dataclass(frozen=True)
class ErasureFile:
    """The content of `erasures/{id}.json`.

    Attributes:
        lifted: Those of the hashes that a new relationship allowed again.
        erasure_key: The encrypted key of the hashes.
    """

    id: uuid.UUID
    organization_id: int
    hashes: list[str]
    lifted: list[str]
    requested_at: dt.datetime
    erasure_key: str


def read_files(settings: Settings) -> tuple[list[ErasureFile], list[str]]:
    """The erasures that the stores know, each once, oldest first.

    Returns:
        The erasures, and sentences on files that cannot be read.

    Raises:
        StoreUnavailableError: a store cannot be read.
    """
    found: dict[uuid.UUID, ErasureFile] = {}
    damaged: dict[str, str] = {}
    for store in _stores(settings):
        for file in store.files(FOLDER):
            try:
                read = _of_json(store.read(file.path))
                found[read.id] = read
            except (ValueError, KeyError, TypeError, AttributeError):
                damaged[Path(file.path).stem] = (
                    f"{file.path} at {store.url} is no file of an erasure"
                )
    for erasure_id in found:
        # The other store has it whole.
        damaged.pop(str(erasure_id), None)
    erasures_read = sorted(found.values(), key=lambda one: (one.requested_at, one.id))
    return erasures_read, list(damaged.values())


def _of_json(content: bytes) -> ErasureFile:
    read: dict[str, Any] = json.loads(content)
    return ErasureFile(
        uuid.UUID(read["id"]),
        int(read["organization_id"]),
        [str(one) for one in read["hashes"]],
        # Files of former releases say nothing of it.
        [str(one) for one in read.get("lifted", ())],
        dt.datetime.fromisoformat(read["requested_at"]),
        str(read["erasure_key"]),
    )


def _names(person: Identity) -> dict[str, list[str]]:
    return {"external_id": person.external_ids, **person.by_channel}


_LOCK = sa.text("select pg_advisory_xact_lock(hashtext('ops.erasures'))")
