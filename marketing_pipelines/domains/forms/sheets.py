"""Calls to Google Sheets: the values of a sheet, and the time zone of its spreadsheet."""

from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from marketing_pipelines.domains.forms.tokens import TokenSource
from marketing_pipelines.domains.integrations.http import (
    OTHER_KEYS,
    AnswerTooLargeError,
    HttpAnswer,
    HttpLimits,
    LoginRefusedError,
    RequestRefusedError,
    ServiceClient,
    WrongAnswerError,
)
from marketing_pipelines.domains.integrations.providers import GoogleFields
from marketing_pipelines.domains.integrations.spacing import Spacing
from marketing_pipelines.failures import BadInputError

# A sheet is read in one call. One that Google cannot answer waits for the next tick.
LIMITS = HttpLimits(attempts=1, deadline=60.0, max_bytes=16 << 20)
MINUTE = 60.0
_FORBIDDEN = "PERMISSION_DENIED"
_ADVICE = (
    ": the form has to name a spreadsheet and a tab that are shared with the account of its "
    "connection."
)


class SheetError(BadInputError):
    """Google does not give this sheet; others of the account it may give."""


class SheetsClient:
    """Calls Google over one connection, with a token that is got once and replaced if it ends."""

    def __init__(
        self, fields: GoogleFields, tokens: TokenSource, ends_at: float | None = None
    ) -> None:
        self._url = fields.url
        self._spacing = Spacing(fields.per_minute, MINUTE)
        self._tokens = tokens
        self._ends_at = ends_at
        self._token: str | None = None
        self._zones: dict[str, ZoneInfo] = {}

    def values(self, spreadsheet_id: str, sheet: str) -> list[Any]:
        """The rows of a sheet up to its last one with a value, each up to its last such cell.

        Raises:
            SheetError: there is no such sheet, the account may not read it, or it is too large.
            ServiceUnavailableError, WrongAnswerError: Google does not answer as it should.
            LoginRefusedError: Google refuses the account.
        """
        title = "'" + sheet.replace("'", "''") + "'"
        path = f"/v4/spreadsheets/{quote(spreadsheet_id, safe='')}/values/{quote(title, safe='')}"
        query = {
            "valueRenderOption": "UNFORMATTED_VALUE",
            "dateTimeRenderOption": "SERIAL_NUMBER",
            "majorDimension": "ROWS",
            "fields": "values",
            "prettyPrint": "false",
        }
        try:
            answer = self._get(path, query)
        except AnswerTooLargeError as error:
            raise SheetError(
                f"The sheet '{sheet}' has more than {LIMITS.max_bytes >> 20} MB of values: move "
                "older rows to another sheet."
            ) from error
        found = answer.json_object().get("values", [])
        if not isinstance(found, list):
            raise WrongAnswerError(f"{answer.source} does not answer with the values of a sheet.")
        return found

    def time_zone(self, spreadsheet_id: str) -> ZoneInfo:
        """The time zone of a spreadsheet, asked for once.

        Raises:
            SheetError: it is unknown, or as for `values`.
        """
        if spreadsheet_id not in self._zones:
            answer = self._get(
                f"/v4/spreadsheets/{quote(spreadsheet_id, safe='')}",
                {"fields": "properties.timeZone", "prettyPrint": "false"},
            )
            properties = answer.json_object().get("properties")
            name = properties.get("timeZone") if isinstance(properties, dict) else None
            if not isinstance(name, str):
                raise WrongAnswerError(f"{answer.source} does not answer with a time zone.")
            try:
                self._zones[spreadsheet_id] = ZoneInfo(name)
            except (ZoneInfoNotFoundError, ValueError, OSError) as error:
                raise SheetError(
                    f"The spreadsheet has the time zone '{name[:60]}', which is not known: choose "
                    "another one in its settings."
                ) from error
        return self._zones[spreadsheet_id]

    def check(self) -> None:
        """Asks for a spreadsheet that does not exist: Google knows the account and the service.

        Raises:
            LoginRefusedError, SheetError, ServiceUnavailableError: it does not.
        """
        try:
            self._get("/v4/spreadsheets/none", {"fields": "spreadsheetId"})
        except SheetError as error:
            if not isinstance(error.__cause__, RequestRefusedError):
                raise

    def _get(self, path: str, query: dict[str, str]) -> HttpAnswer:
        if self._token is None:
            self._token = self._tokens(None)
        try:
            return self._called(path, query)
        except LoginRefusedError:
            # The token may have ended.
            self._token = self._tokens(self._token)
            return self._called(path, query)

    def _called(self, path: str, query: dict[str, str]) -> HttpAnswer:
        with ServiceClient(
            self._url,
            headers={"Authorization": f"Bearer {self._token}"},
            spacing=self._spacing,
            limits=LIMITS,
            ends_at=self._ends_at,
        ) as service:
            try:
                return service.get(path, query)
            except RequestRefusedError as error:
                raise SheetError(_said(error).rstrip(".") + _ADVICE) from error
            except LoginRefusedError as error:
                if error.code != _FORBIDDEN:
                    raise
                raise SheetError(_said(error).removesuffix(OTHER_KEYS) + _ADVICE) from error


def _said(error: Exception) -> str:
    """The sentence on a refusal without the address, which says nothing to users of forms."""
    return "Google answers" + str(error).partition(" answers")[2]
