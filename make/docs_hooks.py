"""For mkdocs: links that leave docs/ work in the repository, not in the site; there they become text, and a file that is missing is an error."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError

_LINK = re.compile(r"\[([^\]]+)\]\(((?:\.\./)+[^)#]+)(#[^)]*)?\)")


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """Turns links out of docs/ into text."""
    docs = Path(config["docs_dir"]).resolve()

    def turned(found: re.Match[str]) -> str:
        target = (Path(page.file.abs_src_path).parent / found[2]).resolve()
        if target.is_relative_to(docs):
            return found[0]
        if not target.exists():
            raise PluginError(f"{page.file.src_path}: {found[2]} does not exist")
        return f"{found[1]} (`{target.relative_to(docs.parent)}`)"

    return _LINK.sub(turned, markdown)
