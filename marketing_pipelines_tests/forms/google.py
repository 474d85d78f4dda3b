"""A service on loopback with the shape of Google Sheets, and organizations with forms in it."""

import base64
import datetime as dt
import json
import time
from functools import cache
from typing import Any
from urllib.parse import unquote
from zoneinfo import ZoneInfo

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from marketing_pipelines.domains.forms import reading
from marketing_pipelines.domains.forms.cells import read_cells, submitted_rows
from marketing_pipelines.domains.forms.declared import enabled_forms
from marketing_pipelines.domains.forms.submissions import StoredReading, store_reading
from marketing_pipelines.loading import load_rows
from marketing_pipelines.stores.postgres import create_engine
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.integrations.service import Asked, Said, Service
from marketing_pipelines_tests.integrations.world import NIGHT, Connected

ROBOT = "robot@sheets.example"
TABLES = ("forms.forms", "forms.readings", "forms.submissions", "crm.contacts")
TEN = dt.timedelta(minutes=10)
HEADER = ["Timestamp", "E-mail", "Name", "City"]
MAPPING = {"Timestamp": "submitted_at", "E-mail": "email", "Name": "first_name", "City": "city"}
MORNING = dt.datetime(2026, 2, 28, 9)


def serial(at: dt.datetime) -> float:
    """The number of days that Sheets has for a local time."""
    return (at - dt.datetime(1899, 12, 30)).total_seconds() / 86_400


def row(number: int, name: str | None = None, city: str = "Lisbon") -> list[Any]:
    """A row of the sheet `HEADER`."""
    at = MORNING + dt.timedelta(seconds=number)
    return [serial(at), f"p{number}@x.example", name or f"P{number}", city]


@cache
def private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 (a longer one takes a second in each test)


def signed_claims(assertion: str) -> dict[str, Any]:
    """The claims of a token whose signature is right; `jwt` refuses keys that are quick."""
    signed, _, signature = assertion.rpartition(".")
    private_key().public_key().verify(
        _decoded(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256()
    )
    claims: dict[str, Any] = json.loads(_decoded(signed.partition(".")[2]))
    return claims


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


class Google:
    """Spreadsheets by id, each with its tabs, that a service account or a token may read."""

    def __init__(self, outside: Service) -> None:
        self.outside = outside
        self.sheets: dict[tuple[str, str], list[list[Any]]] = {}
        self.zone = "Europe/Berlin"
        self.tokens = 0
        self.valid: str | None = None
        self.refused: dict[str, Said] = {}
        outside.answer = self.answer

    @property
    def key(self) -> dict[str, str]:
        """The JSON file of the service account."""
        pem = private_key().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return {
            "type": "service_account",
            "client_email": ROBOT,
            "private_key": pem.decode(),
            "private_key_id": "1",
            "token_uri": f"{self.outside.url}/token",
        }

    def answer(self, asked: Asked) -> Said:
        if asked.path == "/token":
            return self._token(asked)
        if asked.headers.get("Authorization") != f"Bearer {self.valid}":
            return refusal(401, "UNAUTHENTICATED", "Request had invalid credentials.")
        _, version, kind, spreadsheet, *rest = map(unquote, asked.path.split("/"))
        assert (version, kind) == ("v4", "spreadsheets")
        if spreadsheet in self.refused:
            return self.refused[spreadsheet]
        if spreadsheet not in {known for known, _ in self.sheets}:
            return refusal(404, "NOT_FOUND", "Requested entity was not found.")
        if not rest:
            assert asked.query["fields"] == "properties.timeZone"
            return Said({"properties": {"timeZone": self.zone}})
        assert asked.query["valueRenderOption"] == "UNFORMATTED_VALUE"
        assert asked.query["dateTimeRenderOption"] == "SERIAL_NUMBER"
        title = rest[1].removeprefix("'").removesuffix("'").replace("''", "'")
        if (spreadsheet, title) not in self.sheets:
            return refusal(400, "INVALID_ARGUMENT", f"Unable to parse range: {rest[1]}")
        return Said({"values": [_trimmed(one) for one in self.sheets[spreadsheet, title]]})

    def reads(self) -> list[str]:
        """The spreadsheets whose values were asked for, in this order."""
        return [
            unquote(asked.path).split("/")[3]
            for asked in self.outside.asked
            if "/values/" in asked.path
        ]

    def _token(self, asked: Asked) -> Said:
        claims = signed_claims(asked.body["assertion"])
        assert claims["aud"] == "https://oauth2.googleapis.com/token"
        assert claims["iat"] <= time.time() < claims["exp"]
        assert claims["iss"] == ROBOT
        assert claims["scope"] == "https://www.googleapis.com/auth/spreadsheets.readonly"
        self.tokens += 1
        self.valid = f"ya29.token-of-the-robot-{self.tokens}"
        return Said({"access_token": self.valid, "expires_in": 3599, "token_type": "Bearer"})


class FormWorld(Connected):
    """Two organizations, of which acme has the form `contact-us` on the sheet `answers`."""

    def __init__(self, installation: Installation, google: Google) -> None:
        super().__init__(installation)
        self.google = google
        google.sheets["sheet-1", "answers"] = [HEADER]
        own = self.connect("google", url=google.outside.url, key=google.key, per_minute=10_000)
        self.execute(
            "insert into forms.forms (organization_id, external_id, name, spreadsheet_id, sheet,"
            " mapping, connection_id) values (:organization_id, 'contact-us', 'Contact us',"
            " 'sheet-1', 'answers', cast(:mapping as jsonb), :id)",
            organization_id=own.organization_id,
            mapping=json.dumps(MAPPING),
            id=own.id,
        )

    @property
    def sheet(self) -> list[list[Any]]:
        """The rows of the sheet of `contact-us`."""
        return self.google.sheets["sheet-1", "answers"]

    def form(self, **cells: Any) -> None:
        """Loads a form."""
        defaults = {
            "external_id": "contact-us",
            "organization_id": "acme",
            "name": "Contact us",
            "spreadsheet_id": "sheet-1",
            "sheet": "answers",
            "mapping": MAPPING,
            "connection": "google",
        }
        _, rejects = load_rows(
            # Connections of its own, as those of a command.
            create_engine(self.installation.engine.url),
            "forms",
            [defaults | cells],
            settings=self.installation.settings,
            now=NIGHT,
        )
        assert rejects == []

    def job(self, tick: int = 0) -> dict[str, Any]:
        """Runs the job at a tick: the first, or so many ticks later."""
        return self.run(reading.read_sheets, NIGHT + tick * TEN)

    def read(self, tick: int = 0) -> StoredReading:
        """Stores the sheet of the one form as the job does, without Google and Dagster."""
        at = NIGHT + tick * TEN
        with self.installation.engine.begin() as connection:
            [form] = enabled_forms(connection)
            values = [_trimmed(one) for one in self.google.sheets[form.spreadsheet_id, form.sheet]]
            sheet = read_cells(values, form.header_row, form.needed)
            zone = ZoneInfo(self.google.zone)
            rows = submitted_rows(sheet, form.columns, form.keys, zone, at)
            return store_reading(connection, form, sheet.columns, rows, at)

    def submissions(self, columns: str = "data ->> 'Name'", where: str = "true") -> list[Any]:
        """Submissions in the order in which they came."""
        found = self.rows(f"select {columns} from forms.submissions where {where} order by id")
        return [values[0] if len(values) == 1 else values for values in found]

    def events(self, kind: str = "form.submitted") -> list[Any]:
        """The contacts of events of a type, in their order."""
        return [
            external_id
            for (external_id,) in self.rows(
                "select contact.external_id from ops.bus_events as event"
                " cross join lateral (select event.contact_id as id where contact_id is not null"
                " union all select jsonb_array_elements_text(payload -> 'contacts')::bigint) as own"
                " join crm.contacts as contact on contact.id = own.id"
                " where type = :kind order by event.id, contact.id",
                kind=kind,
            )
        ]

    def everything(self) -> list[Any]:
        """All rows of forms and contacts, and of the bus."""
        return self.dump([*TABLES, "ops.bus_events"])


def refusal(status: int, code: str, message: str) -> Said:
    """An error as Google answers it."""
    return Said({"error": {"code": status, "message": message, "status": code}}, status=status)


def big(rows: int) -> list[list[Any]]:
    """A sheet of `HEADER` with so many rows."""
    return [HEADER, *(row(number) for number in range(rows))]


def _trimmed(cells: list[Any]) -> list[Any]:
    """A row as Sheets answers it: up to its last cell with a value."""
    kept = list(json.loads(json.dumps(cells)))
    while kept and kept[-1] == "":
        kept.pop()
    return kept
