"""What the programs ask for as structured output."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class City(BaseModel):
    """A city."""

    model_config = ConfigDict(extra="forbid")

    name: str
    population: int
