"""The pages, a module for each part of the business; each declares its routes in ``pages``."""

from server_stub.backoffice.pages import (
    audit,
    batches,
    boxes,
    cases,
    entry,
    exports,
    home,
    jobs,
    parameters,
    psams,
    reports,
    second,
    staff,
    transactions,
)
from server_stub.backoffice.routes import Page

MODULES = (
    entry,
    home,
    transactions,
    reports,
    exports,
    cases,
    second,
    boxes,
    psams,
    batches,
    jobs,
    audit,
    parameters,
    staff,
)
"""A new module is named here, and its way in ``frame.MENU``."""
PAGES: tuple[Page, ...] = tuple(page for module in MODULES for page in module.pages.all)
"""All routes."""
