"""Translations: compiles assets/locale/*/LC_MESSAGES/*.po, and collects new messages from the source.

    make_locale.py             .po to .mo, where the .mo is missing or older (part of `make setup`)
    make_locale.py messages    the source's messages to every .pot and on into every .po (`make messages`)

Messages are written in English in the source, marked with `t()`, `notice()`, `_()`, `N_()`, `NP_()`, `P_()`, `ngettext()` or `pgettext()`;
in templates of pages also with `{% trans %}`. The television has one catalogue, stb_pay, the back office another.
"""

import os
import sys
from io import BytesIO
from pathlib import Path
from string import Formatter

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "assets" / "locale"
SOURCES = ("screens", "stb_app")
DOMAINS: dict[str, tuple[str, ...]] = {"stb_pay": SOURCES, "backoffice": ("server_stub",)}
"""The catalogues, and where their messages are."""
METHODS = [("**.py", "python"), ("**/templates/**.html", "jinja2")]
OPTIONS = {"**/templates/**.html": {"trimmed": "true", "newstyle_gettext": "true"}}
KEYWORDS: dict[str, tuple[int | tuple[int, str], ...] | None] = {
    "_": None,
    "t": None,
    "notice": None,
    "N_": None,
    "NP_": (1, 2),
    "gettext": None,
    "ngettext": (1, 2),
    "pgettext": ((1, "c"), 2),
    "P_": ((1, "c"), 2),
}


class BadCatalogue(Exception):
    """A translation names a placeholder that its message does not have, or is marked fuzzy."""


def catalogues(folder: Path, domain: str = "*") -> list[Path]:
    """The .po files below `folder`: one a language, of a domain or of all."""
    return sorted(folder.glob(f"*/LC_MESSAGES/{domain}.po"))


def _replace(target: Path, content: bytes) -> None:
    partial = target.with_suffix(".partial")
    partial.write_bytes(content)
    partial.replace(target)


def _placeholders(text: str) -> set[str]:
    return {field for _, field, _, _ in Formatter().parse(text) if field is not None}


def complaints(catalog: Catalog) -> list[str]:
    """What is wrong with translations of `catalog`, each with its message: fuzzy, or other placeholders."""
    found = []
    for message in catalog:
        if not message.id:
            continue
        if message.fuzzy:
            found.append(f"{message.id!r} is marked fuzzy: check it and take the mark away")
        found += [f"{message.id!r}: {error}" for error in message.check(catalog)]
        # Babel checks the placeholders of "%" only.
        if "python-brace-format" in message.flags:
            ids = message.id if isinstance(message.id, tuple | list) else (message.id,)
            strings = message.string if isinstance(message.string, tuple | list) else (message.string,)
            known = set().union(*(_placeholders(text) for text in ids))
            used = set().union(*(_placeholders(text) for text in strings if text))
            if any(strings) and used != known:
                found.append(
                    f"{message.id!r}: the placeholders {sorted(used ^ known)} are not in both languages"
                )
    return found


def compile_catalogue(po: Path) -> bool:
    """Compiles `po` to the .mo beside it. Returns whether there was anything to do.

    Raises `BadCatalogue` when a translation would show wrong words: fuzzy, or with other placeholders.
    """
    mo = po.with_suffix(".mo")
    if mo.exists() and mo.stat().st_mtime_ns == po.stat().st_mtime_ns:
        return False
    with po.open("rb") as source:
        catalog = read_po(source)
    if wrong := complaints(catalog):
        raise BadCatalogue("\n".join(f"{po}: {complaint}" for complaint in wrong))
    compiled = BytesIO()
    write_mo(compiled, catalog)
    _replace(mo, compiled.getvalue())
    # Equal times mean "made from this very file", also after a checkout brought an older one.
    os.utime(mo, ns=(po.stat().st_atime_ns, po.stat().st_mtime_ns))
    return True


def collect(root: Path, sources: tuple[str, ...] = SOURCES) -> Catalog:
    """All messages marked in the Python files and templates below `root/SOURCE`, in the order of files and lines."""
    template = Catalog(project="stb-pay", charset="utf-8", fuzzy=False)
    for source in sources:
        found = extract_from_dir(
            root / source,
            METHODS,
            OPTIONS,
            keywords=KEYWORDS,
            comment_tags=("i18n:",),
            strip_comment_tags=True,
        )
        for name, line, message, comments, context in found:
            # File names only: line numbers would change the catalogue with every edit.
            template.add(message, None, [(f"{source}/{name}", line)], auto_comments=comments, context=context)
    return template


def add_card_words(template: Catalog) -> None:
    """Adds what cards say: those words are in tables of cardreader, which knows no languages."""
    sys.path.insert(0, str(ROOT))
    from stb_app.journeys import lab_words

    for word in lab_words.messages():
        template.add(word, None, [("stb_app/journeys/lab_words.py", 1)])


def update(po: Path, template: Catalog) -> None:
    """Brings `po` to the messages of `template`; translations stay, those no longer used are dropped."""
    with po.open("rb") as source:
        catalog = read_po(source)
    # The date of collecting would be a change in every run.
    template.creation_date = catalog.creation_date
    catalog.update(template, no_fuzzy_matching=True, update_header_comment=False)
    catalog.obsolete.clear()
    content = BytesIO()
    write_po(content, catalog, include_lineno=False, width=100, ignore_obsolete=True)
    _replace(po, content.getvalue())


def messages(root: Path = ROOT, folder: Path = FOLDER) -> None:
    """Writes every .pot and brings every language but English, the source's own, up to it."""
    for domain, sources in DOMAINS.items():
        template = collect(root, sources)
        if domain == "stb_pay":
            add_card_words(template)
        content = BytesIO()
        write_po(content, template, include_lineno=False, width=100, omit_header=True)
        _replace(folder / f"{domain}.pot", content.getvalue())
        for po in catalogues(folder, domain):
            if po.parent.parent.name != "en":
                update(po, template)


def main(arguments: list[str]) -> int:
    """Returns the process's exit code: 0, or 1 with the reason on standard error."""
    try:
        if arguments == ["messages"]:
            messages()
        for po in catalogues(FOLDER):
            compile_catalogue(po)
    except BadCatalogue as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
