"""BOSS's answers made from what it knows: one service, all services, the home page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from server_stub.boss import models, rules, terms
from server_stub.boss.rules import Held
from server_stub.boss.store import Catalogue, Customer, History
from server_stub.foundation import wire
from server_stub.foundation.clock import CHINA
from server_stub.foundation.problems import Problem
from server_stub.foundation.text import Text

SPENDING_MONTHS = 6
SUGGESTIONS = 4


def subscriber(name: Text, box_number: str) -> wire.Subscriber:
    """Name, and the box number in groups of four."""
    grouped = " ".join(box_number[place : place + 4] for place in range(0, len(box_number), 4))
    return wire.Subscriber(name=name, number=grouped)


def service(catalogue: Catalogue, customer: Customer, name: str, now: datetime) -> wire.Service:
    """One service as this subscriber sees it in a list."""
    return wire.Service.model_validate(_service_fields(catalogue, customer, name, now))


def detail(
    catalogue: Catalogue, customer: Customer, past: History, name: str, now: datetime
) -> models.ServiceDetail:
    """One service with introduction, terms and what the subscriber has had (ONL-1)."""
    history = [held for held in reversed(past.held) if held.service == name]
    history.sort(key=lambda held: held.valid_from, reverse=True)
    return models.ServiceDetail.model_validate(
        {
            **_service_fields(catalogue, customer, name, now),
            "introduction": catalogue.shown(name).introduction,
            "clashes_with": clashes_with(catalogue, customer, catalogue.products[name], now),
            "terms": [_term(catalogue, customer, name, term, now) for term in terms.TERMS],
            "subscriptions": [
                {
                    "term": held.term,
                    "valid_from": held.valid_from,
                    "valid_until": held.valid_until,
                    "paid_fen": held.paid_fen,
                    "status": rules.status_of(held, now),
                }
                for held in history
            ],
        }
    )


def clashes_with(
    catalogue: Catalogue, customer: Customer, product: rules.Product, now: datetime
) -> Text | None:
    """The name of the service that stands in the way of this one."""
    name = rules.clashes_with(product, customer.held, catalogue.groups, now)
    return None if name is None else catalogue.shown(name).name


def refused(
    code: str,
    catalogue: Catalogue,
    customer: Customer,
    product: rules.Product,
    now: datetime,
    **facts: Any,
) -> Problem:
    """A refusal of the pre-check; one that has to do with another service names it."""
    rival = clashes_with(catalogue, customer, product, now) if code == "order-clash" else None
    if rival is not None:
        facts["clashes_with"] = rival.model_dump()
    return Problem(code, **facts)


def home(catalogue: Catalogue, customer: Customer, past: History, now: datetime) -> wire.Home:
    """What the home page shows."""
    services = [service(catalogue, customer, name, now) for name in catalogue.products]
    active = [one for one in services if one.status == "active" and one.valid_until is not None]
    # The one that ends first is the one worth a look.
    current = min(active, key=lambda one: str(one.valid_until), default=None)
    offers = [
        one
        for one in services
        if one.status != "active"
        and any(_term(catalogue, customer, one.service, term, now).refusal is None for term in terms.TERMS)
    ]
    offers.sort(key=lambda one: one.status != "expired")
    last = past.payments[-1] if past.payments else None
    return wire.Home(
        subscriber=subscriber(customer.name, customer.box_number),
        current=current,
        spending=_spending(past, now),
        service_count=len(services),
        last_payment=None if last is None else wire.LastPayment(date=last[0].date(), amount_fen=last[1]),
        suggestions=offers[:SUGGESTIONS],
    )


def earlier(
    catalogue: Catalogue, customer: Customer, paid: Sequence[tuple[Held, datetime]], now: datetime
) -> models.AllEarlier:
    """What was paid otherwise, in the order given."""
    services = {name: service(catalogue, customer, name, now) for name in {held.service for held, _ in paid}}
    return models.AllEarlier(
        earlier=[
            models.Earlier(
                service=services[held.service],
                term=held.term,
                date=at.date(),
                amount_fen=held.paid_fen,
                status=rules.status_of(held, now),
            )
            for held, at in paid
        ]
    )


def _service_fields(catalogue: Catalogue, customer: Customer, name: str, now: datetime) -> dict[str, object]:
    product, shown = catalogue.products[name], catalogue.shown(name)
    until = rules.covered_until(name, customer.held, now)
    past = [held.valid_until for held in customer.held if held.service == name and not held.cancelled]
    term, price_fen = min(product.prices.items(), key=lambda plan: plan[1])
    if until is not None:
        status, days_left = "active", (until.astimezone(CHINA).date() - now.date()).days
    else:
        status, days_left = ("expired" if past else "none"), None
    return {
        "service": name,
        "name": shown.name,
        "summary": shown.summary,
        "category": shown.category,
        "icon": shown.icon,
        "from": {"term": term, "price_fen": price_fen},
        "status": status,
        "valid_until": until or max(past, default=None),
        "days_left": days_left,
    }


def _term(catalogue: Catalogue, customer: Customer, name: str, term: str, now: datetime) -> wire.Term:
    product = catalogue.products[name]
    until = rules.covered_until(name, customer.held, now)
    begin, end = terms.period(term, now, until)
    price_fen = product.prices.get(term)
    saving = 0
    if price_fen is not None:
        saving = terms.saving_percent(term, price_fen, product.prices.get("monthly"))
    return wire.Term.model_validate(
        {
            "term": term,
            "price_fen": price_fen,
            "saving_percent": saving,
            "valid_from": begin,
            "valid_until": end,
            "refusal": rules.pre_check(
                product, term, customer.held, customer.arrears_fen, catalogue.groups, now
            ),
        }
    )


def _spending(past: History, now: datetime) -> list[wire.MonthSpending]:
    first = now.date().replace(day=1)
    months = [terms.add_months(first, -back) for back in reversed(range(SPENDING_MONTHS))]
    return [
        wire.MonthSpending(
            month=f"{month:%Y-%m}",
            amount_fen=sum(
                paid_fen for at, paid_fen in past.payments if (at.year, at.month) == (month.year, month.month)
            ),
        )
        for month in months
    ]
