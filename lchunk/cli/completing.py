"""`lchunk completion`: the shell completes commands, stages and knobs."""

from __future__ import annotations

import argparse
from typing import Any

from lchunk.cli.line import COMMANDS

BASH = """\
# lchunk completion bash > ~/.local/share/bash-completion/completions/lchunk
_lchunk() {{
    local word=${{COMP_WORDS[COMP_CWORD]}}
    if [ "$COMP_CWORD" = 1 ]; then
        COMPREPLY=($(compgen -W "{commands}" -- "$word"))
    elif [[ ${{COMP_WORDS[1]}} = @(run|enqueue) && ( "$COMP_CWORD" = 2 || $word = --* ) ]]; then
        COMPREPLY=($(compgen -W "$(lchunk completion words "${{COMP_WORDS[2]}}" 2>/dev/null)" -- "$word"))
    else
        COMPREPLY=($(compgen -f -- "$word"))
    fi
}}
complete -o filenames -F _lchunk lchunk
"""
ZSH = """\
# lchunk completion zsh > ~/.zfunc/_lchunk, with fpath+=(~/.zfunc) before compinit in ~/.zshrc
autoload -U +X bashcompinit && bashcompinit
{bash}"""


def completion(arguments: argparse.Namespace) -> None:
    """Print the completion script of a shell: save it where the first line says.

    `words` prints what may follow `lchunk run`, for the script.
    """
    bash = BASH.format(commands=" ".join(COMMANDS))
    if arguments.stage and arguments.shell != "words":
        raise ValueError(f"completion must be of one shell, got {arguments.stage!r} after it; leave that out")
    if arguments.shell == "words":
        print("\n".join(_words(arguments.stage)))
    else:
        print(bash if arguments.shell == "bash" else ZSH.format(bash=bash), end="")


def _words(stage: str) -> list[str]:
    from lchunk.cli.lines import runnable  # noqa: PLC0415 - imports all stages
    from lchunk.tasks.dataset import Dataset  # noqa: PLC0415
    from lchunk.tasks.price_knobs import Prices  # noqa: PLC0415
    from lchunk.tasks.storage import Store  # noqa: PLC0415

    tasks = runnable()
    if stage not in tasks:
        return list(tasks)
    knobs = [f"--{name}" for name, _ in tasks[stage].get_params()]
    knobs += [f"--{each.__name__}-{name}" for each in (Dataset, Store, Prices) for name, _ in each.get_params()]
    return [option.replace("_", "-") for option in knobs]


def add_commands(commands: Any) -> None:
    """Add `completion`."""
    command = commands.add_parser("completion", description=completion.__doc__)
    command.add_argument("shell", choices=("bash", "zsh", "words"))
    command.add_argument("stage", nargs="?", default="", help=argparse.SUPPRESS)
    command.set_defaults(run=completion)
