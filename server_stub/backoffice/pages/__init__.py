"""The pages, a module for each part of the business; each declares its routes in ``pages``."""

from server_stub.backoffice.pages import (
    audit,
    batches,
    boxes,
    breaks,
    cases,
    days,
    entry,
    files,
    home,
    jobs,
    parameters,
    partners,
    psams,
    reconciliation,
    second,
    services,
    staff,
)
from server_stub.backoffice.routes import Page

MODULES = (
    *(entry, home, cases, second, breaks, reconciliation, days, files, boxes, services, psams, batches, jobs),
    *(audit, parameters, staff, partners),
)
"""A new module is named here, and its way in ``frame.MENU``."""
PAGES: tuple[Page, ...] = tuple(page for module in MODULES for page in module.pages.all)
"""All routes."""
