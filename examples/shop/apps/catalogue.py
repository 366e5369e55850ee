"""The catalogue: GET /products/1 and GET /search?q=tea. It tells which host it was asked as, and who the caller is."""

import re

from serving import Answer, Request, as_json, serve

PRODUCTS = {1: ("Green tea", 7), 2: ("Black tea", 6), 3: ("Teapot", 29)}


def answer(request: Request) -> Answer:
    if found := re.fullmatch(r"/products/([0-9]+)", request.path):
        return product(int(found[1]), request)
    if request.path == "/search":
        wanted = request.parameters.get("q", "").lower()
        names = [name for name, _ in PRODUCTS.values() if wanted in name.lower()]
        caller = request.headers.get("x-edgerun-caller")  # its guard says so, and no client can
        return as_json({"found": names, "askedAs": request.headers.get("host"), "askedBy": caller})
    return as_json({"error": f"the catalogue has no {request.path}"}, status=404)


def product(number: int, request: Request) -> Answer:
    if number not in PRODUCTS:
        return as_json({"error": f"no product {number}"}, status=404)
    name, price = PRODUCTS[number]
    return as_json({"name": name, "price": price, "currency": request.headers.get("x-currency", "?")})


serve(answer)
