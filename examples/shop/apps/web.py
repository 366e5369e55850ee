"""The shop's pages. RELEASE says which release this is; /report is slow."""

import os
import time
from html import escape

from serving import Answer, Request, serve

RELEASE = os.environ.get("RELEASE", "stable")
PAGE = """<!doctype html>
<title>The shop</title>
<h1>The shop, release {release}</h1>
<p>You asked {host} for {path}.</p>
"""


def answer(request: Request) -> Answer:
    if request.path == "/report":
        time.sleep(3)
    page = PAGE.format(release=RELEASE, host=escape(request.headers.get("host", "")), path=escape(request.path))
    headers = {"x-release": RELEASE, "server": "shop"}
    if "x-branch" in request.headers:
        headers["x-branch"] = request.headers["host"].split(".")[0]
    return Answer(page.encode(), type="text/html; charset=utf-8", headers=headers)


serve(answer)
