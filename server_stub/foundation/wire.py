"""Objects that look the same on BOSS's interface (docs/boss-api.md) and on the box's (docs/tsp-api.md)."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from server_stub.foundation.text import Text

TermName = Literal["per-use", "monthly", "quarterly", "yearly"]
SubscriptionStatus = Literal["active", "upcoming", "expired", "used", "cancelled"]
ServiceStatus = Literal["none", "active", "expired"]


class Subscriber(BaseModel):
    name: Text
    number: str


class LowestPrice(BaseModel):
    term: TermName
    price_fen: int


class Service(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    service: str
    name: Text
    summary: Text
    category: Text
    icon: str
    lowest: LowestPrice = Field(alias="from")
    status: ServiceStatus
    valid_until: datetime | None
    days_left: int | None


class Term(BaseModel):
    term: TermName
    price_fen: int | None
    saving_percent: int
    valid_from: datetime
    valid_until: datetime
    refusal: str | None


class Subscription(BaseModel):
    term: TermName
    valid_from: datetime
    valid_until: datetime
    paid_fen: int
    status: SubscriptionStatus


class Services(BaseModel):
    services: list[Service]


class MonthSpending(BaseModel):
    month: str
    amount_fen: int


class LastPayment(BaseModel):
    date: date
    amount_fen: int


class Home(BaseModel):
    subscriber: Subscriber
    current: Service | None
    spending: list[MonthSpending]
    service_count: int
    active_count: int
    last_payment: LastPayment | None
    suggestions: list[Service]
