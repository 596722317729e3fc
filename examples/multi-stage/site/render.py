"""Renders page.md, the little of Markdown that it needs, to HTML on standard output."""

import html
import pathlib
import sys

title = sys.argv[1]
lines = pathlib.Path(__file__).with_name("page.md").read_text().splitlines()
body = "\n".join(
    "<h2>%s</h2>" % html.escape(line[2:]) if line.startswith("# ") else "<p>%s</p>" % html.escape(line)
    for line in lines
    if line
)
print("<!doctype html>\n<title>%s</title>\n<h1>%s</h1>\n%s" % (html.escape(title), html.escape(title), body))
