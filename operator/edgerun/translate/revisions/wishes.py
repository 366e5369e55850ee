"""What an OriginService wishes, in the words of this package; and what it comes to when nothing is known yet."""

from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from ...api import GROUP
from ...api.durations import seconds
from ...api.originservice import OriginService
from ...api.templates import Template
from .creation import Wanted
from .follow import Facts, Outcome, Wish, follow
from .judgement import Order, Verb
from .memory import Memory

ORDER = f"{GROUP}/rollout"  # an annotation: `undo/cart-00005` or `promote/cart-00005`
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def wish(service: OriginService) -> Wish:
    """The wish of `service`, as it is."""
    template, spec = service.spec.template, service.spec
    return Wish(
        wanted=Wanted(service=service.metadata.name, template=nameless(template), name=template.metadata.name),
        targets=spec.traffic,
        duration=timedelta(seconds=seconds(spec.rollout.duration)),
        max_error_percent=spec.rollout.max_error_percent,
        min_scale=spec.scaling.min_scale,
        order=order(service.metadata.annotations.get(ORDER, "")),
    )


def nameless(template: Template) -> Template:
    """What of a template is the revision's: not the name that it is given."""
    return replace(template, metadata=replace(template.metadata, name="")) if template.metadata.name else template


def order(written: str) -> Order | None:
    """What somebody has ordered; None for what is no order."""
    verb, slash, name = written.partition("/")
    return Order(Verb(verb), name) if slash and name and verb in (*Verb,) else None


def first_look(service: OriginService) -> Outcome:
    """The first revision, and nothing of it there yet."""
    return follow(wish(service), Facts(now=_LONG_AGO, acknowledged=False), Memory())
