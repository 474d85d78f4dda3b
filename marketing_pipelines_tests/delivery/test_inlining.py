"""CSS of templates, inlined once, with every expression in its place."""

import pytest

from marketing_pipelines.domains.delivery.inlining import inline_css
from marketing_pipelines.domains.delivery.rendering import fill_in
from marketing_pipelines.domains.delivery.text_parts import with_both_parts


def test_css_becomes_attributes_and_media_queries_stay() -> None:
    html = inline_css(
        "<html><head><style>p{color:red}@media(max-width:9px){p{color:blue}}</style></head>"
        "<body><p>a</p></body></html>"
    )
    assert '<p style="color: red;">a</p>' in html
    assert "@media" in html


def test_a_loop_between_rows_of_a_table_stays_there() -> None:
    html = (
        "<style>td{color:red}</style><table>{% for one in cart %}<tr><td>{{ one }}</td></tr>"
        "{% endfor %}</table><a href='{{ url }}'>go {{ first_name }}</a>"
    )
    fields = {
        "tone": "red",
        "cart": ["x", "y"],
        "url": "https://a.org/?b=1&c=2",
        "first_name": "<A>",
    }
    filled = fill_in({"subject": "s", "html": html}, fields)["html"]
    rows = '<tr><td style="color: red;">{}</td></tr>'
    assert rows.format("x") + rows.format("y") in filled.replace("<tbody>", "")
    assert '<a href="https://a.org/?b=1&amp;c=2">go &lt;A&gt;</a>' in filled


@pytest.mark.parametrize(
    "html",
    [
        "<p style='a'>no style sheet</p>",
        # The style is repeated for each paragraph, and the expression in it would be, too.
        "<style>p{color:{{ tone }}}</style><p>a</p><p>b</p>",
    ],
)
def test_html_that_cannot_be_inlined_stays_as_it_is(html: str) -> None:
    assert inline_css(html) == html


def test_a_mail_with_html_alone_gets_the_text_of_its_template() -> None:
    html = (
        "<style>p {color: red}</style><h1>{{ title }}</h1>\n<p>Dear {{ name | default('<you>') }},"
        ' see <a href="{{ url | default("x") }}">the &amp; offer</a>.</p><ul><li>a</li></ul>'
    )
    content = {"subject": "s", "html": html}
    assert with_both_parts(content)["text"] == (
        "{{ title }}\n\nDear {{ name | default('<you>') }}, see"
        ' [the & offer]({{ url | default("x") }}).\n\n* a\n'
    )
    given = {**content, "text": "Mine"}
    assert with_both_parts(given) == given


def test_a_mail_with_text_alone_gets_html_with_its_paragraphs_and_links() -> None:
    text = (
        'Dear {{ name }},\n5 < 6 & "so"\n\n{% if gold %}\n\nSee'
        " https://shop.example.org/?a=1&b={{ id }}.\n{% for one in news %}\n- {{ one }}\n"
        "{% endfor %}\n\n{% endif %}\n\nLeave: {{ unsubscribe_url }}\n"
    )
    parts = with_both_parts({"subject": "s", "text": text})
    link = "https://shop.example.org/?a=1&amp;b={{ id }}"
    assert parts == {"subject": "s", "text": text, "html": (
        "<html><body>\n<p>Dear {{ name }},<br>\n5 &lt; 6 &amp; \"so\"</p>\n{% if gold %}\n"
        f'<p>See <a href="{link}">{link}</a>.<br>\n'
        "{% for one in news %}\n- {{ one }}<br>\n{% endfor %}</p>\n{% endif %}\n"
        '<p>Leave: <a href="{{ unsubscribe_url }}">{{ unsubscribe_url }}</a></p>\n'
        "</body></html>\n"
    )}  # fmt: skip
    fields = {"name": "<b>", "news": ["<i>"], "gold": True, "id": '"&', "unsubscribe_url": "u"}
    page = fill_in(parts, fields)["html"]
    assert "<p>Dear &lt;b&gt;,<br>" in page
    assert "- &lt;i&gt;<br>" in page
    assert '?a=1&amp;b=&#34;&amp;"' in page
    assert "{% for" not in page
