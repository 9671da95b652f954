"""Hide names of Python, as those of POSIX are missing on Windows; then run a program, or be the command line.

python without.py fcntl,os.fork -c "print('a program')"
python without.py fcntl,os.fork demo
"""

from __future__ import annotations

import importlib
import random  # noqa: F401  with os.fork it wants os.register_at_fork: before one of them alone is hidden
import sys
from collections.abc import Sequence
from types import ModuleType

names, *command = sys.argv[1:]
hidden = {name for name in names.split(",") if "." not in name}


class Hiding:
    """Say of each hidden module that there is none."""

    def find_spec(self, name: str, _path: Sequence[str] | None, _target: ModuleType | None = None) -> None:
        """Be asked before all other finders."""
        if name in hidden:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


for name in hidden:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Hiding())  # type: ignore[arg-type]  a stub wants what has a spec to return
for module, _, attribute in (name.partition(".") for name in names.split(",") if "." in name):
    if hasattr(importlib.import_module(module), attribute):  # each Python has some of them only
        delattr(importlib.import_module(module), attribute)

if command[0] == "-c":
    exec(compile(command[1], "<program>", "exec"))  # noqa: S102  as python -c does
else:
    from togai_shipper.__main__ import main

    sys.argv = ["togai-shipper", *command]
    main()
