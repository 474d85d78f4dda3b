"""Settings of the model that may write texts anew."""

from pydantic import Field
from pydantic_settings import BaseSettings


class ModelSettings(BaseSettings):
    """The optional model of briefs and insights."""

    model_url: str | None = Field(
        default=None,
        repr=False,
        pattern=r"^https?://[^\s/]",
        description="OpenAI-compatible service, such as `https://api.openai.com/v1`, that writes "
        "the sentences of briefs and insights anew; numbers and names that it adds are refused. "
        "Unset: the texts stay as rules write them.",
    )
    model_name: str | None = Field(
        default=None,
        min_length=1,
        description="Model of that service; `MARKETING_MODEL_URL` needs it.",
    )
    model_key: str | None = Field(
        default=None,
        min_length=1,
        repr=False,
        description="Key of that service, sent as bearer token. Unset: none is sent.",
    )
