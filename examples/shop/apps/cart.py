"""The shopping cart: one for all, in memory. GET /cart shows it, POST /cart/items adds the product in the body."""

import threading

from serving import Answer, Request, as_json, serve

items: list[str] = []
lock = threading.Lock()


def answer(request: Request) -> Answer:
    match request.method, request.path:
        case "GET" | "HEAD", "/cart":
            return as_json({"items": items})
        case "POST", "/cart/items":
            with lock:
                items.append(request.body.decode(errors="replace").strip())
            return as_json({"items": items}, status=201)
    return as_json({"error": f"the cart knows no {request.method} {request.path}"}, status=404)


serve(answer)
