"""`wnexp completion SHELL`: a script that completes commands, options, Hydra's groups, settings and their values.

The words stand in the script, so that completing them starts no Python: print it again after an update.
"""

from argparse import ArgumentParser, Namespace
from string import Template
from typing import Any

from wnexp.cli import export, log, plot, prune, report, rm, runs, tag, verify

NAME, HELP = "completion", "a completion script for bash, zsh or fish"
DESCRIPTION = """\
Print a script that completes commands, options, groups, settings and their values. For the present shell:
  bash: source <(wnexp completion bash)      zsh: source <(wnexp completion zsh)
  fish: wnexp completion fish | source"""

_COMMANDS = (plot, prune, verify, runs, report, tag, rm, export, log)
_BASH = """\
_wnexp() {
    local line=${COMP_LINE:0:COMP_POINT} words=() word prefix
    read -ra words <<< "$line"
    [[ $line == *" " ]] && words+=("")
    local current=${words[-1]} candidates
    if (( ${#words[@]} <= 2 )); then candidates="$commands"
    else
        case ${words[1]} in
$cases
        esac
    fi
    # A list of values: complete the last one.
    local list= key=
    if [[ $current == *=*,* ]]; then
        key=${current%%=*}= list=${current%,*},
        current=$key${current##*,}
    fi
    COMPREPLY=($(compgen -W "$candidates" -- "$current"))
    [[ $list ]] && COMPREPLY=("${COMPREPLY[@]/#"$key"/"$list"}") && current=$list
    (( ${#words[@]} > 2 )) && [[ ${#COMPREPLY[@]} == 0 ]] && COMPREPLY=($(compgen -f -- "${current#*=}"))
    # Bash takes what stands before the last = for a word of its own.
    if [[ $current == *=* && $COMP_WORDBREAKS == *=* ]]; then
        prefix=${current%"${current##*=}"}
        COMPREPLY=("${COMPREPLY[@]#"$prefix"}")
    fi
    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace
}
complete -F _wnexp wnexp
"""
_ZSH = """\
#compdef wnexp
_wnexp() {
    local -a candidates
    if (( CURRENT == 2 )); then candidates=($commands)
    else
        case $words[2] in
$cases
        esac
    fi
    local current=$PREFIX key
    if [[ $current == *=*,* ]]; then  # a list of values: complete the last one
        key=${current%%=*}=
        candidates=(${(M)candidates:#$key*})
        compset -P '*,'
        compadd -- ${candidates#$key}
        return
    fi
    local -a open closed
    open=(${(M)candidates:#*=}) closed=(${candidates:#*=})
    compadd -S '' -- $open
    compadd -- $closed
    _files
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
compdef _wnexp wnexp
"""
_FISH_COMMAND = "complete -c wnexp -n '__fish_is_nth_token 1' -f -a '{words}'"
_FISH_WORDS = "complete -c wnexp -n '__fish_seen_subcommand_from {command}' -a '{words}'"


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))


def run(arguments: Namespace) -> int:
    """Print the script."""
    words = {"train": train_words()} | {command.NAME: _options(command) for command in _COMMANDS}
    words[NAME] = ["bash", "zsh", "fish"]
    if arguments.shell == "fish":
        print(_FISH_COMMAND.format(words=" ".join(words)))
        for command, own in words.items():
            print(_FISH_WORDS.format(command=command, words=" ".join(own)))
        return 0
    bash = arguments.shell == "bash"
    form = '            {}) candidates="{}" ;;' if bash else "            {}) candidates=({}) ;;"
    cases = "\n".join(
        form.format(command, " ".join(own if bash else map(_quoted, own))) for command, own in words.items()
    )
    template = Template(_BASH if bash else _ZSH)
    print(template.safe_substitute(commands=" ".join(words), cases=cases), end="")
    return 0


def _options(command: Any) -> list[str]:
    parser = ArgumentParser()
    command.add_arguments(parser)
    return [option for action in parser._actions for option in action.option_strings]


def _quoted(word: str) -> str:
    return f"'{word}'"


def train_words() -> list[str]:
    """`group=option`, `setting=`, and `setting=value` where the values are words."""
    from wnexp.config.schema import GROUPS
    from wnexp.training.options import OPTIONS

    words = [f"{group}={name}" for group in GROUPS for name in OPTIONS.names(group)]
    for key, one in OPTIONS.keys().items():
        choices = ("true", "false") if isinstance(one.value, bool) else one.metadata["choices"]
        words += [f"{key}={choice}" for choice in choices] or [f"{key}="]
    return [*words, "-m", "--help", "--cfg", "--config-from", "--config-dir"]
