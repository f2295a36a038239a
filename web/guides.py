"""Guides: Markdown of a curriculum's authors, as HTML that can do nothing but be read.

Authors may write HTML. What remains of it is text, tables and pictures, and the buttons that the
existing front end knows, whose calls become data for the page's own script::

    onclick="runSnippetInTab('linux1', this)"  ->  data-run-in="linux1"
    onclick="switchToTab('linux1')"            ->  data-switch-to="linux1"
"""

import re
from collections.abc import Sequence
from functools import lru_cache

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

_CALL = re.compile(
    r"""\bonclick\s*=\s*(["'])\s*
        (?P<function>runSnippetInTab|switchToTab)\(\s*
        (?:&quot;|&\#39;|['"])(?P<tab>[\w-]{1,63})(?:&quot;|&\#39;|['"])
        \s*(?:,\s*this\s*)?\)\s*;?\s*\1""",
    re.VERBOSE,
)
_DATA = {"runSnippetInTab": "data-run-in", "switchToTab": "data-switch-to"}
_TAGS = {
    "a", "abbr", "b", "blockquote", "br", "button", "caption", "code", "dd", "del", "details",
    "div", "dl", "dt", "em", "figcaption", "figure", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i",
    "img", "ins", "kbd", "li", "mark", "ol", "p", "pre", "q", "s", "samp", "small", "span",
    "strong", "sub", "summary", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "u",
    "ul", "var",
}  # fmt: skip
_ATTRIBUTES = {
    "*": {"title", "lang", "dir"},
    "a": {"href"},
    "button": set(_DATA.values()),
    "code": {"class"},
    "img": {"src", "alt", "width", "height"},
    "ol": {"start"},
    "td": {"colspan", "rowspan", "align"},
    "th": {"colspan", "rowspan", "align", "scope"},
}
_KEPT_GUIDES = 256


class _BelowThePagesTitle(RendererHTML):
    """Writes headings one level lower: the page has its own first one."""

    def renderToken(  # noqa: N802  (the library's name)
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType
    ) -> str:
        token = tokens[idx]
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(int(token.tag[1]) + 1, 6)}"
        return super().renderToken(tokens, idx, options, env)


_MARKDOWN = MarkdownIt("commonmark", {"html": True}, renderer_cls=_BelowThePagesTitle).enable(
    ["table", "strikethrough"]
)


@lru_cache(maxsize=_KEPT_GUIDES)
def guide_html(markdown: str) -> str:
    """Return a guide as safe HTML."""
    written: str = _MARKDOWN.render(markdown)
    return nh3.clean(
        _CALL.sub(lambda call: f'{_DATA[call["function"]]}="{call["tab"]}"', written),
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer",
        set_tag_attribute_values={
            "a": {"target": "_blank"},
            "button": {"type": "button"},
            "img": {"loading": "lazy", "referrerpolicy": "no-referrer"},
        },
    )
