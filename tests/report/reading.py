"""Small reports, and how their pages are read."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import heatcap as hc

from synthetic import Plan

VOID = {"meta", "link", "input", "br", "image", "use", "path", "rect"}


class Reader(HTMLParser):
    """Elements, identifiers and text of a page; complains of tags that do not match."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.ids, self.text, self.links = [], [], [], [], []
        self.heads = []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        if tag not in VOID:
            self.open.append(tag)
        if "id" in attributes:
            self.ids.append(attributes["id"])
        for name in ("src", "href", "action", "data"):
            if attributes.get(name):
                self.links.append(attributes[name])
        if re.fullmatch("h[1-6]", tag):
            self.heads.append(int(tag[1]))

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("script", "style"):
            self.text.append(data)


def few(primes=(19, 31), seeds=2, **changes):
    return [Plan(p=p, seed=s, **changes) for p in primes for s in range(seeds)]


def report_of(obs, *names):
    return hc.build_report(obs, *(names or ("heat_capacity", "landscape_heat_capacity")))


def titles(found):
    return {each.title for each in found.cautions()}


def text_of(page):
    return re.sub(r"\s+", " ", "".join(Reader(page).text))


def tables_of(page):
    """Rows of every table, as they are read."""
    found = {}
    for key, body in re.findall(r'<table class="data" id="data-(\w+)"(.*?)</table>', page, re.S):
        head = re.findall(r"<th [^>]*><button[^>]*>(.*?)</button>", body)
        rows = re.findall(r"<tr>(<td.*?)</tr>", body, re.S)
        cells = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in rows]
        found[key] = [dict(zip(head, row, strict=True)) for row in cells]
    return found
