"""What a page may refuse, each with a page of its own.

Refused              the root: a status, a code for the metrics, a title, and a sentence for whoever asked
├── NotAllowed       403: the right is missing
├── Forged           403: the form is not one of ours, or too old
├── Unknown          404: there is no such thing
├── Clash            409: it is not (any more) as the page said
├── Impossible       409: a role does not do it (any more), and says why
└── Away             503: the role whose books are wanted does not run here
"""

from __future__ import annotations

from server_stub.backoffice.words import N_
from server_stub.foundation import card_numbers
from server_stub.foundation.sentences import Sentence, say

REASON_WANTED = N_("Say why: a decision needs a reason.")
CHANGED = N_("It has changed since this page was shown. Look at it again, and choose anew.")
"""Said beside a field."""


def unfit(reason: str) -> str:
    """Why a reason cannot be kept, as a message that stands beside its field; "" where it can."""
    if not reason:
        return REASON_WANTED
    return card_numbers.WHOLE if card_numbers.has_whole(reason) else ""


class Refused(Exception):
    """The root.

    Args:
        text: a message of the catalogue.
        values: of its ``%(name)s``.
    """

    status = 409
    code = "page-refused"
    title = N_("That cannot be done now")

    def __init__(self, text: str, **values: object) -> None:
        super().__init__(text)
        self.said = say(text, **values)


class NotAllowed(Refused):
    """The person lacks the right."""

    status = 403
    code = "page-not-allowed"
    title = N_("You may not do that")

    def __init__(
        self, text: str = N_("Your roles do not include this. Ask an administrator if you need it.")
    ) -> None:
        super().__init__(text)


class Forged(Refused):
    """An unsafe request without the form's token."""

    status = 403
    code = "page-form-forged"
    title = N_("This form is too old")

    def __init__(
        self,
        text: str = N_("Nothing was changed. Go back, load the page again, and send the form once more."),
    ) -> None:
        super().__init__(text)


class Unknown(Refused):
    """There is no such thing."""

    status = 404
    code = "page-unknown"
    title = N_("There is no such page")

    def __init__(self, text: str = N_("What you are looking for is not here, or not any more.")) -> None:
        super().__init__(text)


class Impossible(Refused):
    """A role does not do it (any more), and says why."""

    def __init__(self, why: Sentence) -> None:
        super().__init__(N_("It can no longer be done: %(why)s"), why=why)


class Clash(Refused):
    """What the page said is not so any more, or was not decided as it must be."""


class Away(Refused):
    """A role that does not run here.

    Args:
        role: its name.
    """

    status = 503
    code = "page-role-away"
    title = N_("This part of the system is not here")

    def __init__(self, role: str) -> None:
        super().__init__(
            N_("%(role)s does not run with this back office, so its books cannot be shown."),
            role=role,
        )
