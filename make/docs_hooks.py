"""A hook of mkdocs: links to files outside of docs/ become text, because they work in the repository only.

A link to a file that does not exist is an error.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError

_LINK = re.compile(r"\[([^\]]+)\]\(((?:\.\./)+[^)#]+)(#[^)]*)?\)")


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """Return the page with its links to files outside of docs/ as text. mkdocs calls this for each page."""
    docs = Path(config["docs_dir"]).resolve()

    def as_text(link: re.Match[str]) -> str:
        target = (Path(page.file.abs_src_path).parent / link[2]).resolve()
        if target.is_relative_to(docs):
            return link[0]
        if not target.exists():
            raise PluginError(f"{page.file.src_path}: {link[2]} does not exist")
        return f"{link[1]} (`{target.relative_to(docs.parent)}`)"

    return _LINK.sub(as_text, markdown)
