"""The page at ``/docs``: the operations of ``/openapi.json`` as plain HTML, which needs no internet."""

from __future__ import annotations

from html import escape
from typing import Any

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #14213d;
  margin: 2rem auto; max-width: 60rem; padding: 0 1rem; }
h2 { margin-top: 2.2rem; border-bottom: 2px solid #e3e8f1; } table { border-collapse: collapse; width: 100%; }
td { padding: .45rem .8rem .45rem 0; border-bottom: 1px solid #e3e8f1; vertical-align: top; }
code { background: #eef2f9; padding: .1rem .35rem; border-radius: .3rem; }
b { display: inline-block; width: 3.5rem; }
small { color: #5b6781; }
"""


def render(document: dict[str, Any]) -> str:
    """All operations by tag, each with what it takes and answers."""
    rows: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            tag = (operation.get("tags") or ["Server"])[0]
            rows.setdefault(tag, []).append(_row(path, method, operation))
    title = escape(f"{document['info']['title']} {document['info']['version']}")
    sections = "".join(
        f"<h2>{escape(tag)}</h2><table>{''.join(lines)}</table>" for tag, lines in rows.items()
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f'<h1>{title}</h1><p>The full description is <a href="/openapi.json">/openapi.json</a> (OpenAPI).</p>'
        f"{sections}</html>"
    )


def _row(path: str, method: str, operation: dict[str, Any]) -> str:
    content = operation.get("requestBody", {}).get("content", {}).values()
    takes = ", ".join(_name(entry.get("schema", {})) for entry in content)
    answers = "; ".join(_answer(status, answer) for status, answer in operation["responses"].items())
    body = f"<br><small>takes {escape(takes)}</small>" if takes else ""
    return (
        f"<tr><td><b>{method.upper()}</b><code>{escape(path)}</code>{body}</td>"
        f"<td>{escape(operation.get('description', ''))}<br><small>{answers}</small></td></tr>"
    )


def _answer(status: str, answer: dict[str, Any]) -> str:
    schemas = [entry.get("schema", {}) for entry in answer.get("content", {}).values()]
    name = _name(schemas[0]) if schemas else ""
    said = answer["description"] if name == "ProblemBody" else name
    return escape(f"{status} {said}".strip())


def _name(schema: dict[str, Any]) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]
