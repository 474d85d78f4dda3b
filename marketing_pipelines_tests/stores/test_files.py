"""Files at a folder or a URL: whole or not at all, for this account alone, failures with a name."""

import uuid
from pathlib import Path

import pytest

from marketing_pipelines.failures import ConfigurationError, StoreUnavailableError
from marketing_pipelines.stores.files import FileStore, StoredFile


def test_a_file_in_a_folder_is_read_as_it_was_written_and_only_by_this_account(
    tmp_path: Path,
) -> None:
    store = FileStore(str(tmp_path / "files"))
    store.write("mail/1/ab/abc.eml", b"content")
    file = tmp_path / "files/mail/1/ab/abc.eml"
    assert store.read("mail/1/ab/abc.eml") == file.read_bytes() == b"content"
    folders = [file, *list(file.parents)[:4]]
    assert [one.stat().st_mode & 0o077 for one in folders] == [0] * 5
    store.remove("mail/1/ab/abc.eml")
    store.remove("mail/1/ab/abc.eml")
    with pytest.raises(FileNotFoundError):
        store.read("mail/1/ab/abc.eml")


def test_a_file_that_is_there_is_not_written_again(tmp_path: Path) -> None:
    store = FileStore(str(tmp_path))
    store.write("a/b", b"content")
    before = (tmp_path / "a/b").stat().st_mtime_ns
    store.write("a/b", b"content")
    assert (tmp_path / "a/b").stat().st_mtime_ns == before
    assert [one.name for one in (tmp_path / "a").iterdir()] == ["b"]


def test_a_url_takes_files_too() -> None:
    store = FileStore(f"memory://{uuid.uuid4()}")
    store.write("a/b", b"content")
    assert store.read("a/b") == b"content"
    store.remove("a/b")
    with pytest.raises(FileNotFoundError):
        store.read("a/b")


@pytest.mark.parametrize("kind", ["folder", "url"])
def test_files_are_written_and_read_in_parts_and_listed_by_path(kind: str, tmp_path: Path) -> None:
    store = FileStore(str(tmp_path) if kind == "folder" else f"memory://{uuid.uuid4()}")
    assert list(store.files()) == []
    for name in ("b/2", "a/1", "b/1"):
        with store.writing(name) as file:
            file.write(b"in ")
            file.write(b"parts")
    with store.reading("a/1") as file:
        assert (file.read(3), file.read()) == (b"in ", b"parts")
    assert list(store.files()) == [StoredFile(name, 8) for name in ("a/1", "b/1", "b/2")]
    assert [one.path for one in store.files("b")] == ["b/1", "b/2"]
    assert (store.size("a/1"), store.size("a/2")) == (8, None)
    with pytest.raises(FileNotFoundError), store.reading("a/2"):
        pass


def test_a_file_whose_writing_fails_does_not_appear(tmp_path: Path) -> None:
    store = FileStore(str(tmp_path))
    store.write("a", b"first")
    with pytest.raises(TypeError), store.writing("a") as file:
        file.write("no bytes")  # type: ignore[arg-type]
    assert store.read("a") == b"first"
    assert [one.name for one in tmp_path.iterdir()] == ["a"]


def test_failures_name_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreUnavailableError, match="check MARKETING_FILES_URL"):
        FileStore(str(tmp_path / "file")).write("a", b"content")
    with pytest.raises(StoreUnavailableError, match="check MARKETING_BACKUP_URL"):
        FileStore(str(tmp_path / "file"), "MARKETING_BACKUP_URL").write("a", b"content")
    with pytest.raises(ConfigurationError, match="MARKETING_FILES_URL nothing://x cannot be"):
        FileStore("nothing://x")
