"""The client of an OpenAI-compatible model: one request, one try, twenty seconds in all."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from marketing_pipelines.failures import ConfigurationError, RetryableError
from marketing_pipelines.settings import Settings

SECONDS = 20.0
MAX_BYTES = 262_144
PATH = "/chat/completions"
Messages = Sequence[Mapping[str, str]]


class ModelError(RetryableError):
    """The model gave no answer; the text is the reason."""


class Model:
    """The model of `MARKETING_MODEL_URL`."""

    def __init__(self, url: str, name: str, key: str | None, *, seconds: float = SECONDS) -> None:
        self.name = name
        self._url = url if url.endswith(PATH) else url.rstrip("/") + PATH
        self._headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._seconds = seconds

    @classmethod
    def of(cls, settings: Settings) -> "Model | None":
        """The model of the settings; None: there is none.

        Raises:
            ConfigurationError: the settings name a part of one only.
        """
        url, name, key = settings.model_url, settings.model_name, settings.model_key
        if url is None:
            if name is not None or key is not None:
                raise ConfigurationError(
                    "MARKETING_MODEL_NAME and MARKETING_MODEL_KEY need MARKETING_MODEL_URL: set it"
                    " or remove them."
                )
            return None
        if name is None:
            raise ConfigurationError("MARKETING_MODEL_URL needs MARKETING_MODEL_NAME: set it.")
        return cls(url, name, key)

    def ask(self, messages: Messages) -> str:
        """Returns the model's answer.

        Raises:
            ModelError: there is no answer that can be read in time.
        """
        import httpx2  # for installations with a model only

        body = {"model": self.name, "messages": list(messages), "temperature": 0}
        try:
            received = asyncio.run(self._receive(body))
        except TimeoutError:
            raise ModelError(f"the model took longer than {self._seconds:g} s") from None
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise ModelError(f"the model cannot be reached ({type(error).__name__})") from None
        return _content(received)

    async def _receive(self, body: Mapping[str, Any]) -> bytes:
        """The body of the answer; one deadline from the first packet to the last byte.

        A timeout of the client alone would begin anew with each phase and each packet.
        """
        import httpx2

        received = b""
        async with (
            asyncio.timeout(self._seconds),
            httpx2.AsyncClient(timeout=None, trust_env=False, follow_redirects=False) as client,
            client.stream("POST", self._url, json=body, headers=self._headers) as response,
        ):
            if response.status_code != httpx2.codes.OK:
                raise ModelError(f"the model answers {response.status_code}")
            async for part in response.aiter_bytes():
                received += part
                if len(received) > MAX_BYTES:
                    raise ModelError(f"the model's answer is longer than {MAX_BYTES:,} bytes")
        return received


def _content(received: bytes) -> str:
    try:
        answer: Any = json.loads(received)
        text = answer["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError, RecursionError):
        raise ModelError("the model's answer is no chat completion") from None
    if not isinstance(text, str):
        raise ModelError("the model's answer is no text")
    return text
