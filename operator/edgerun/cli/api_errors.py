"""What an error of the API server means to whoever typed a command, with the way out.

What a thing that is not there means is the command's own affair.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import ConflictError, ForbiddenError, UnavailableError

_UNAUTHORIZED = 401
_ANOTHER = "with --kubeconfig FILE or --context NAME"


@contextmanager
def explained(what: str, *, role: str) -> Iterator[None]:
    """`what` is read or written inside; `role` are the flags of `kubectl create rolebinding` that would allow it.

    Raises ApiError, of the class that it was.
    """
    try:
        yield
    except ForbiddenError as error:
        raise ForbiddenError(f"{error}; {_right(error, role)}", status=error.status) from error
    except ConflictError as error:
        raise ConflictError(f"{what} is written by others all the time; try again", status=error.status) from error
    except UnavailableError as error:
        ways = f"see what `kubectl cluster-info` says, or choose another cluster {_ANOTHER}"
        raise UnavailableError(f"{error}; {ways}", status=error.status) from error


def _right(error: ForbiddenError, role: str) -> str:
    if error.status == _UNAUTHORIZED:
        return f"log in to the cluster, or choose another one {_ANOTHER}"
    return f"an administrator can allow it: kubectl create rolebinding NAME {role} --user=USER"
