"""What becomes of guides: readable HTML that can do nothing."""

import re
from pathlib import Path

import pytest

from web.guides import guide_html

SHARED = Path(__file__).parents[2].parent / "shared" / "curricula" / "nrelabs-subset"


def test_markdown_becomes_html_below_the_pages_own_heading():
    html = guide_html("# Title\n\nSome *text*.\n\n```bash\nls -l | wc\n```\n\n###### Six")
    assert "<h2>Title</h2>" in html
    assert "<em>text</em>" in html
    assert '<pre><code class="language-bash">ls -l | wc\n</code></pre>' in html
    assert "<h6>Six</h6>" in html
    assert "<h1>" not in html


def test_tables_and_pictures_stay():
    html = guide_html("| a | b |\n|---|---|\n| 1 | 2 |\n\n![alt](https://example.org/x.png)")
    assert "<td>1</td>" in html
    assert 'alt="alt"' in html
    assert 'referrerpolicy="no-referrer"' in html


@pytest.mark.parametrize("quote", ["'", "&quot;", "&#39;"])
def test_snippet_buttons_become_data(quote: str):
    button = (
        f'<button class="btn" onclick="runSnippetInTab({quote}linux1{quote}, this)">Run</button>'
    )
    assert guide_html(f"```\nls\n```\n{button}") == (
        "<pre><code>ls\n</code></pre>\n"
        '<p><button data-run-in="linux1" type="button">Run</button></p>\n'
    )


def test_buttons_that_switch_tabs_become_data():
    html = guide_html("""<button onclick="switchToTab('cli2')">There</button>""")
    assert 'data-switch-to="cli2"' in html


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "<button onclick=\"runSnippetInTab('x', this); alert(1)\">go</button>",
        "<button onclick=\"runSnippetInTab('x\\x27),alert(1', this)\">go</button>",
        "<button onclick=\"alert(1)//runSnippetInTab('x', this)\">go</button>",
        '<a href="jAvAsCrIpT:alert(1)">link</a>',
        '<a href="data:text/html,alert(1)">link</a>',
        "<svg onload=alert(1)><script>alert(1)</script></svg>",
        "<iframe src='https://example.org/?alert(1)'></iframe>",
        "<form action='/admin/'><input name=alert(1)></form>",
        "<style>body { background: url(alert(1)) }</style>",
        '<p style="position:fixed;inset:0;content:alert(1)">over all</p>',
        "<object data=alert(1)></object><embed src=alert(1)>",
        "<meta http-equiv=refresh content='0;url=alert(1)'>",
        "<base href='https://evil.example/alert(1)'>",
        "<math><mi xlink:href='javascript:alert(1)'>x</mi></math>",
        "<a id=guide name=guide onfocus=alert(1) autofocus tabindex=0>x</a>",
    ],
)
def test_what_could_act_is_gone(hostile: str):
    html = guide_html(f"before\n\n{hostile}\n\nafter")
    assert "alert" not in html
    assert not re.search(
        r"\son\w+\s*=|<(script|style|iframe|form|svg|object|embed|meta|base)", html
    )
    assert not re.search(r"""\s(id|name|style|class)=["']?(?!language-)""", html)
    assert "before" in html
    assert "after" in html


def test_a_link_to_a_script_is_no_link():
    assert "<a" not in guide_html("[link](javascript:alert(1))")


def test_code_that_looks_like_html_is_shown_as_it_is():
    assert "&lt;script&gt;" in guide_html("```\n<script>\n```")


def test_links_open_elsewhere_and_tell_nothing():
    html = guide_html("[x](https://example.org)")
    assert 'target="_blank"' in html
    assert 'rel="noopener noreferrer"' in html


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real lessons are not here")
def test_every_button_of_the_real_lessons_still_works():
    buttons = 0
    for guide in SHARED.rglob("guide.md"):
        text = guide.read_text(encoding="utf-8")
        html = guide_html(text)
        wanted = len(re.findall(r"onclick=.(?:runSnippetInTab|switchToTab)\(", text))
        assert len(re.findall("data-run-in=|data-switch-to=", html)) == wanted, guide
        buttons += wanted
    assert buttons > 200
