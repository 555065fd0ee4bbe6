"""The API does what its OpenAPI document says, whatever is sent."""

from datetime import date, timedelta
from decimal import Decimal
from http import HTTPStatus
from typing import Annotated

import pytest
from fastapi import Header
from pydantic import BaseModel, Field, HttpUrl, field_validator

from keel.application import new_app
from keel.testing.fuzzing import KINDS, fuzz
from keel.testing.identity import sign_in
from keel.testing.server import Server
from keel.web.errors import AppError, responses

LIMIT = 1_000


@pytest.fixture
async def signed_in(server: Server) -> dict[str, str]:
    """Return the headers of an authenticated caller."""
    async with server.client() as client:
        await sign_in(client)
        return {name: value for name, value in client.headers.items() if name.lower() == "authorization"}


@pytest.mark.fuzz
@pytest.mark.parametrize("kind", KINDS)
def test_authenticated(
    server: Server, signed_in: dict[str, str], kind: str, request: pytest.FixtureRequest, anyio_backend: object
) -> None:
    """Valid requests are accepted, invalid ones rejected as documented."""
    fuzz(request, server.url, signed_in, kind)


class TooDear(AppError):
    """A rule that no schema can say."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    type = "urn:problem:too-dear"


class Order(BaseModel):
    """A model like those in FastAPI's and Pydantic's documentation."""

    price: Annotated[Decimal, Field(ge=0, max_digits=10, decimal_places=2)]
    discount: Decimal | None = None
    weight: float = 0
    due: date | None = None
    lasts: timedelta | None = None
    page: HttpUrl | None = None
    tags: set[str] = set()
    code: str = "a"

    @field_validator("code")
    @classmethod
    def _start_with_a(cls, value: str) -> str:
        if not value.startswith("a"):
            raise ValueError("start with an a")
        return value


async def create_order(order: Order) -> Order:
    """Return an order.

    Raises:
        TooDear: it costs a thousand.
    """
    if order.price >= LIMIT:
        raise TooDear("Order for less than 1000.")
    return order


async def read_orders(price: Decimal = Decimal(1), weight: float = 1, due: date | None = None) -> str:
    """Return nothing."""
    return f"{price} {weight} {due}"


async def read_warranty() -> timedelta:
    """Return more than a year, which Pydantic writes as `P1Y35D`."""
    return timedelta(days=400)


async def read_device(x_device: Annotated[str | None, Header()] = None) -> str | None:
    """Return a header that accepts any value."""
    return x_device


@pytest.mark.fuzz
@pytest.mark.parametrize("kind", KINDS)
def test_ordinary_code(environment: None, kind: str, request: pytest.FixtureRequest) -> None:
    """Values that Pydantic rejects or converts beyond the schema are not reported as failures."""
    app = new_app()
    app.post("/orders", responses=responses(TooDear))(create_order)
    app.get("/orders")(read_orders)
    app.get("/device")(read_device)
    app.get("/warranty")(read_warranty)
    with Server(app) as server:
        fuzz(request, server.url, {}, kind)
