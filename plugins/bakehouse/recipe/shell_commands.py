"""Commands that evaluate a word: shells, interpreters, and those of bash itself. Pure."""

from __future__ import annotations

import re
from posixpath import basename
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

QUOTES = 'Assign it on a line before, value={}, and write "$value" here'
ARITHMETIC = "Make it a number: {{{{ {} | int | sh }}}}"


class Danger(NamedTuple):
    """What a value is inside of, and the remedy; `{}` in it is the expression."""

    place: str
    remedy: str
    where: str = ""  # the variable that carries it, and the line

    def of_variable(self, name: str, line: int) -> Danger:
        """Return the danger of a value that a variable has."""
        return self._replace(where=f"${name}, which on line {line} of the rendered script is ")


PROGRAM = Danger(
    "a program",
    "Pass it as an argument, such as bash -c '… \"$1\"' _ {}, or in the environment",
)
NAME = Danger("the name of a variable", "Write the name itself")

_EVALUATE = frozenset({"eval", "trap", "alias", "bind", "complete", "compgen", "watch", "parallel"})
_SHELLS = frozenset({"bash", "sh", "dash", "ash", "zsh", "ksh", "mksh", "rbash", "fish"})
_WITH_C = _SHELLS | {"su", "runuser", "flock", "script", "sg"}
_SOURCE = frozenset({"source", "."})
_AWK = frozenset({"awk", "gawk", "mawk", "nawk"})
_INTERPRETERS = {
    "perl": r"-[A-Za-z0-9]*[eE]",
    "ruby": r"-[A-Za-z0-9]*e",
    "php": r"-r|-B|-R|-E",
    "node": r"-e|-p|-pe|--eval|--print",
    "lua": r"-e",
    "Rscript": r"-e",
}
_PYTHON = re.compile(r"python[0-9.]*|pypy[0-9.]*")
_WRAPPERS = frozenset(
    {
        *("builtin", "busybox", "chroot", "chrt", "command", "coproc", "docker", "doas"),
        *("eatmydata", "env", "exec", "faketime", "find", "flock", "ionice", "kubectl"),
        *("machinectl", "nice", "nohup", "nsenter", "parallel", "podman", "runuser", "script"),
        *("setpriv", "setsid", "ssh", "stdbuf", "strace", "su", "sudo", "systemd-run", "time"),
        *("timeout", "unshare", "watch", "xargs"),
    }
)
_NAMES = frozenset({"read", "mapfile", "readarray", "getopts", "unset"})
_DECLARE = frozenset({"declare", "typeset", "local", "export", "readonly"})
_READ_OPTIONS = frozenset({"-p", "-d", "-t", "-n", "-N", "-u", "-i"})
_SSH_WITH_VALUE = frozenset(f"-{letter}" for letter in "bcDEeFIiJLlmOopQRSWw")
_STDIN = frozenset({"/dev/stdin", "/dev/fd/0", "/proc/self/fd/0", "-"})
_EXPANDED = frozenset({"PS0", "PS1", "PS2", "PS3", "PS4", "PROMPT_COMMAND", "BASH_ENV", "ENV"})
_INTEGERS = frozenset(
    {
        "BASHPID",
        "EUID",
        "HISTCMD",
        "LINENO",
        "OPTIND",
        "PPID",
        "RANDOM",
        "SECONDS",
        "SRANDOM",
        "UID",
    }
)


def danger(words: Sequence[str], index: int, kind: str) -> Danger | None:
    """Tell what a command does with one of its words.

    Args:
        words: The words of the command, as far as they are known.
        index: Which of them has the value.
        kind: The type of its node: a word, a redirection, an assignment or a substitution.
    """
    if kind == "herestring_redirect":
        return PROGRAM if reads_program(words) else None
    if kind == "variable_assignment" or kind.endswith("redirect") or index >= len(words):
        return None
    for at in _commands(words, index):
        if found := _of(basename(words[at]), words[at:], index - at, kind):
            return found
    return None


def program_of(words: Sequence[str], index: int) -> str | None:
    """Return the program, as far as it is known, that gets a word of a command as an argument."""
    for at in _commands(words, index):
        if basename(words[at]) in _SHELLS:
            for program in range(at + 2, index):
                if _is_program(basename(words[at]), words[at:], program - at):
                    return words[program]
    return None


def danger_of_assignment(name: str, integers: frozenset[str]) -> Danger | None:
    """Tell what bash does with the value of a variable."""
    if name in _EXPANDED:
        return Danger(f"{name}, which bash evaluates", "Write the value itself")
    if name in _INTEGERS or name in integers:
        return Danger("arithmetic", ARITHMETIC)
    return None


def reads_program(words: Sequence[str]) -> bool:
    """Whether a command takes its standard input for a program."""
    for at in _commands(words, len(words)):
        name, rest = basename(words[at]), words[at + 1 :]
        plain = [word for word in rest if not word.startswith("-") or word == "-"]
        if name in _SOURCE and set(plain) & _STDIN:
            return True
        is_shell = name in _SHELLS or name in _INTERPRETERS or bool(_PYTHON.fullmatch(name))
        if is_shell and "-s" in rest and name in _SHELLS:
            return True
        has_program = any(re.fullmatch(r"-[A-Za-z]*[ceErp]", word) for word in rest)
        if is_shell and not has_program and (not plain or plain[0] in _STDIN):
            return True
        if name in {"at", "batch", "crontab", "parallel"}:
            return True
        if _substitutes(name, words[at:]):
            return True
    return False


def _substitutes(name: str, words: Sequence[str]) -> bool:
    """Whether xargs writes what it reads into a program."""
    replaces = any(re.match(r"-I|-i|--replace", word) for word in words)
    return name == "xargs" and replaces and any(basename(word) in _WITH_C for word in words)


def read_names(words: Sequence[str]) -> set[str]:
    """Return the variables that a command reads its standard input into."""
    if not words or words[0] not in {"read", "mapfile", "readarray"}:
        return set()
    names = {word for word in words[1:] if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", word)}
    return names or {"REPLY", "MAPFILE"}


def _commands(words: Sequence[str], end: int) -> list[int]:
    """Return where a command may begin: at the first word, and at all behind sudo, env, xargs."""
    if not words or basename(words[0]) not in _WRAPPERS:
        return [0] if words else []
    return list(range(min(end, len(words))))


def _of(name: str, words: Sequence[str], index: int, kind: str) -> Danger | None:
    """Tell what the command at the first word does with the word at the index."""
    if index == 0:
        return None
    before, word = words[index - 1], words[index]
    if name in _EVALUATE:
        return PROGRAM
    if name == "let":
        return Danger("arithmetic", ARITHMETIC)
    options = _READ_OPTIONS if name == "read" else frozenset()
    if name in _DECLARE or (name in _NAMES and before not in options):
        return NAME
    if name == "printf" and (before == "-v" or word.startswith("-v")):
        return NAME
    if name == "wait" and before == "-p":
        return NAME
    if name in {"test", "["} and before in {"-v", "-R"}:
        return NAME
    if kind == "process_substitution" and (
        name in _SHELLS or name in _SOURCE or _substitutes(name, words)
    ):
        return PROGRAM
    return PROGRAM if _is_program(name, words, index) else None


def _is_program(name: str, words: Sequence[str], index: int) -> bool:
    word = words[index]
    if name in _WITH_C or not re.fullmatch(r"[\w./+-]+", name):  # $SHELL may be a shell
        return _is_after_option(words, index, r"-[A-Za-z]*c|--command", r"-c|--command=")
    if name in _INTERPRETERS:
        return _is_after_option(words, index, _INTERPRETERS[name], r"-[A-Za-z]*[eErp]['\"]|--eval=")
    if _PYTHON.fullmatch(name):
        return _is_after_option(words, index, r"-[A-Za-z]*c", r"-[A-Za-z]*c['\"]")
    if name in _AWK:
        return index == _first_plain(words, {"-F", "-v", "-f", "--assign"}, ends={"-f", "--file"})
    if name == "sed":
        if re.match(r"-[A-Za-z]*e['\"]|--expression=", word) or words[index - 1] in {
            "-e",
            "-ne",
            "-re",
            "-Ee",
            "-ie",
            "--expression",
        }:
            return True
        has_script = any(re.fullmatch(r"-[A-Za-z]*[ef]|--expression.*|--file.*", w) for w in words)
        return not has_script and index == _first_plain(words, {"-l"})
    if name == "ssh":
        host = _first_plain(words, _SSH_WITH_VALUE)
        return index > host or words[index - 1] == "-o" or word.startswith("-o")
    if name == "env":
        starts = tuple(f"{one}=" for one in _EXPANDED)
        return words[index - 1] in {"-S", "--split-string"} or word.startswith((*starts, "-S"))
    return False


def _is_after_option(words: Sequence[str], index: int, option: str, glued: str) -> bool:
    """Whether a word is the program behind an option such as -c, or in the same word."""
    if re.match(glued, words[index]) and "'" in words[index]:
        return True
    for at in range(1, index):
        if re.fullmatch(option, words[at]):
            program = at + 1
            while program < index and words[program].startswith("-"):
                program += 1
            return program == index
    return False


def _first_plain(
    words: Sequence[str], with_value: set[str] | frozenset[str], ends: set[str] | None = None
) -> int:
    """Return the index of the first word that is no option; the end if one of `ends` is given."""
    at = 1
    while at < len(words) and words[at].startswith("-") and words[at] != "-":
        if ends and words[at] in ends:
            return len(words)
        if words[at] == "--":
            return at + 1
        at += 2 if words[at] in with_value else 1
    return at
