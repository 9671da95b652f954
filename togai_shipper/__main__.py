"""``togai-shipper``, and ``python -m togai_shipper``."""

from __future__ import annotations

import sys

_EXTRA = frozenset(("click", "rich", "starlette", "uvicorn"))  # what the extra brings, and nothing else needs


def main() -> None:
    """Run the command line; without its extra, say in one line how to get it."""
    try:
        from .cli.app import cli  # noqa: PLC0415  the library itself does without the extra
        from .cli.terminal import output_checked, prepare_streams  # noqa: PLC0415  likewise

        prepare_streams()
        with output_checked():
            cli(prog_name="togai-shipper")  # loads the command that is asked for
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] not in _EXTRA:
            raise
        sys.stderr.write("togai-shipper: the command line is an extra: pip install 'togai-shipper[cli]'\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
