"""The pages, a module for each part of the business; each declares its routes in ``pages``."""

from server_stub.backoffice.pages import entry, home
from server_stub.backoffice.routes import Page

PAGES: tuple[Page, ...] = tuple(page for module in (entry, home) for page in module.pages.all)
"""All routes. A new module is named here, and its way in ``frame.MENU``."""
