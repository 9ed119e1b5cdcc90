"""The pages, a module for each part of the business; each declares its routes in ``pages``."""

from server_stub.backoffice.pages import (
    audit,
    batches,
    boxes,
    breaks,
    cases,
    days,
    entry,
    exports,
    files,
    home,
    jobs,
    parameters,
    partners,
    psams,
    reconciliation,
    reports,
    second,
    services,
    staff,
    transactions,
)
from server_stub.backoffice.routes import Page

MODULES = (
    *(
        entry,
        home,
        transactions,
        reports,
        exports,
        cases,
        second,
        breaks,
        reconciliation,
        days,
        files,
        boxes,
        services,
    ),
    *(psams, batches, jobs, audit, parameters, staff, partners),
)
"""A new module is named here, and its way in ``frame.MENU``."""
PAGES: tuple[Page, ...] = tuple(page for module in MODULES for page in module.pages.all)
"""All routes."""
