"""Signed links: read as they were made, forged ones refused, valid after a change of the key."""

import datetime as dt
from pathlib import Path

import pytest

from marketing_pipelines.domains.delivery.links import ClickedLink, Confirmation, Links
from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.settings import Settings

BASE = "https://marketing.example.org"
OLD, NEW, OTHER = "o" * 32, "n" * 32, "x" * 32


def token_of(url: str) -> str:
    """The last part of a link, without the ending of an image."""
    return url.rpartition("/")[2].removesuffix(".gif")


@pytest.mark.parametrize(
    ("kind", "path"),
    [("unsubscribe", "unsubscribe"), ("preferences", "preferences"), ("view", "view"),
     ("open", "o")],
)  # fmt: skip
def test_a_link_of_a_message_is_good_for_its_purpose_alone(kind: str, path: str) -> None:
    links = Links(f"{BASE}/", [NEW])
    url = getattr(links, kind)(17)
    assert url.startswith(f"{BASE}/{path}/")
    found = {
        purpose: links.message_of(purpose, token_of(url))
        for purpose in ("unsubscribe", "preferences", "view", "open")
    }
    assert found == {**dict.fromkeys(found), kind: 17}
    assert links.clicked(token_of(url)) is None
    assert links.confirmation(token_of(url)) is None
    assert getattr(links, kind)(17) == url, "the same link is the same text"


def test_a_click_leads_to_the_target_that_was_signed() -> None:
    links = Links(BASE, [NEW])
    link = ClickedLink(17, 2, "https://shop.example.org/ä?a=1&b=%20#top")
    token = token_of(links.click(link))
    assert links.clicked(token) == link
    assert links.clicked(token[:-1]) is None
    assert Links(BASE, [OTHER]).clicked(token) is None


def test_a_confirmation_says_when_it_expires() -> None:
    links = Links(BASE, [NEW])
    asked = Confirmation(3, 4, dt.datetime(2026, 3, 8, 12, tzinfo=dt.UTC))
    assert links.confirmation(token_of(links.confirm(asked))) == asked


@pytest.mark.parametrize("token", ["", ".", "WzFd", "WzFd.", "WzFd.\udc80", "ä" * 50, "." * 5000])
def test_a_forged_token_is_nothing(token: str) -> None:
    assert Links(BASE, [NEW]).message_of("unsubscribe", token) is None


def test_links_of_an_old_key_stay_valid_and_new_ones_are_signed_with_the_new_key() -> None:
    old = token_of(Links(BASE, [OLD]).unsubscribe(17))
    settings = Settings(secret_key=NEW, old_secret_keys=f"{OTHER}, {OLD}", public_url=BASE)
    links = Links.of(settings)
    assert links.message_of("unsubscribe", old) == 17
    new = token_of(links.unsubscribe(17))
    assert Links(BASE, [NEW]).message_of("unsubscribe", new) == 17
    assert Links(BASE, [OLD]).message_of("unsubscribe", new) is None


def test_an_installation_without_public_url_links_to_its_own_machine_in_development_only(
    tmp_path: Path,
) -> None:
    settings = Settings(data_dir=tmp_path)
    links = Links.of(settings)
    url = links.unsubscribe(17)
    assert url.startswith("http://127.0.0.1:8000/unsubscribe/")
    assert Links.of(settings).message_of("unsubscribe", token_of(url)) == 17
    with pytest.raises(ConfigurationError, match="MARKETING_PUBLIC_URL is not set"):
        Links.of(Settings(data_dir=tmp_path, env="production"))


def test_a_short_old_key_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter than 32 characters"):
        Settings(old_secret_keys=f"{OLD},short")
