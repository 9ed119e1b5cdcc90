"""The pages, a module for each part of the business; each declares its routes in ``pages``."""

from server_stub.backoffice.pages import entry, exports, home, reports, transactions
from server_stub.backoffice.routes import Page

PAGES: tuple[Page, ...] = tuple(
    page for module in (entry, exports, home, reports, transactions) for page in module.pages.all
)
"""All routes. A new module is named here, and its way in ``frame.MENU``."""
