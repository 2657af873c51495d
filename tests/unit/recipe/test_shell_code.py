"""Where bash would run or evaluate a value is refused; what is accepted runs nothing in bash."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.examples import examples

from bakehouse.recipe.lint import unquoted, unquoted_in
from bakehouse.recipe.templates import render_script, script_environment

if TYPE_CHECKING:
    from bakehouse.recipe.mistakes import Mistake

CANARY = "ran"
TOOLS = (
    "awk",
    "bash",
    "cat",
    "env",
    "find",
    "perl",
    "sed",
    "sh",
    "tee",
    "timeout",
    "touch",
    "xargs",
)
NASTY = [
    f"$(touch {CANARY})",
    f"`touch {CANARY}`",
    f"a[$(touch {CANARY})]",
    f"a[$(touch {CANARY})]=1",
    f"';touch {CANARY};'",
    f'";touch {CANARY};"',
    f"\n touch {CANARY}\n",
    f"\\'; touch {CANARY}; \\'",
    f"x\nEOF\ntouch {CANARY}\n",
    f"x=$(touch {CANARY})",
    f"PS4=$(touch {CANARY})",
    f'BEGIN{{system("touch {CANARY}")}}',
    f"import os;os.system('touch {CANARY}')",
    f"e touch {CANARY}",
    f"s/a/touch {CANARY}/e",
    f"touch {CANARY}",
    f"${{x:-$(touch {CANARY})}}",
    f") ; touch {CANARY} ; (",
    "if",
    "{",
    "A=b",
    "2",
    "-v",
    "a,b",
]
# @ is a value
REFUSED = r"""
arithmetic: echo $((@))
arithmetic: echo $((1 + @))
arithmetic: echo $(( $(echo @) ))
arithmetic: echo $[@]
arithmetic: (( @ ))
arithmetic: ((x = @))
arithmetic: let @
arithmetic: let x=@
arithmetic: let "y=1" x=@
arithmetic: builtin let @
arithmetic: for ((i = 0; i < @; i++)); do break; done
arithmetic: [[ @ -eq 1 ]]
arithmetic: [[ 1 -lt @ ]]
arithmetic: [[ a == b || 1 -ge @ ]]
arithmetic: [[ $(echo @) -eq 1 ]]
arithmetic: declare -i x=@
arithmetic: declare -gi x=@
arithmetic: typeset -i x=@
arithmetic: f() { local -i x=@; }; f
arithmetic: declare -i x; x=@
arithmetic: f() { local -i n; n=@; }; f
arithmetic: a[@]=1
arithmetic: a=([@]=1)
arithmetic: declare -A a=([@]=1)
arithmetic: declare -A a; a[@]=1
arithmetic: echo ${a[@]:-1}
arithmetic: RANDOM=@
arithmetic: SECONDS=@
arithmetic: OPTIND=@
arithmetic: x=@; (( x ))
arithmetic: x=@; ((x > 1))
arithmetic: x=@; echo $((x))
arithmetic: x=@; echo $(( $x + 1 ))
arithmetic: x=@; let y=x
arithmetic: x=@; let "y=$x"
arithmetic: x=@; [[ $x -eq 1 ]]
arithmetic: x=@; [[ x -eq 1 ]]
arithmetic: x=@; declare -i y=$x
arithmetic: x=@; declare -i y; y=$x
arithmetic: x=@; a[$x]=1
arithmetic: x=@; a[x]=1
arithmetic: x=@; echo "${a[x]}"
arithmetic: x=@; b=abc; echo "${b:x}"
arithmetic: x=@; for ((i = x; i < 1; i++)); do :; done
arithmetic: x=@; y=$x; z="a$y"; (( z ))
arithmetic: x=@; y=$(echo "$x"); (( y ))
arithmetic: x=@; y=${x//a/b}; (( y ))
arithmetic: x=@; : "${y:=$x}"; (( y ))
arithmetic: y=${x:-@}; (( y ))
arithmetic: y=$(echo @); (( y ))
arithmetic: for x in a @; do (( x )); done
arithmetic: x=@; y=(a "$x"); (( y[1] ))
arithmetic: x=@; y=("$x"); for z in "${y[@]}"; do (( z )); done
arithmetic: read -r y <<<@; (( y ))
arithmetic: read -r y < <(echo @); (( y ))
arithmetic: mapfile -t y < <(echo @); (( y ))
arithmetic: echo @ | while read -r y; do (( y )); done
arithmetic: while read -r y; do (( y )); done <<<@
arithmetic: f() { (( $1 )); }; f @
arithmetic: f() { local n=$1; (( n )); }; f @
arithmetic: set -- @; (( $1 ))
arithmetic: bash -c 'echo $(( $1 ))' _ @
the name of a variable: [[ -v @ ]]
the name of a variable: [[ ! -v @ ]]
the name of a variable: [[ -R @ ]]
the name of a variable: [ -v @ ]
the name of a variable: test -v @
the name of a variable: test a = b -o -v @
the name of a variable: read @ <<<a
the name of a variable: read -ra @ <<<a
the name of a variable: mapfile -t @ <<<a
the name of a variable: readarray @ <<<a
the name of a variable: printf -v @ a
the name of a variable: getopts a @
the name of a variable: wait -p @
the name of a variable: unset @
the name of a variable: unset -v @
the name of a variable: export @
the name of a variable: readonly @
the name of a variable: declare @
the name of a variable: f() { local @; }; f
the name of a variable: command export @
the name of a variable: declare -n x=@; echo "$x"
the name of a variable: x=@; echo "${!x}"
the name of a variable: x=@; printf -v "$x" y
the name of a variable: x=@; unset "$x"
a program: eval @
a program: eval "$(echo @)"
a program: command eval @
a program: trap @ EXIT
a program: trap -- @ EXIT
a program: alias x=@
a program: compgen -W @
a program: coproc eval @
a program: time eval @
a program: bash -c @
a program: bash -ec @
a program: bash -c -e @
a program: bash --norc -c @
a program: /bin/sh -c @
a program: \bash -c @
a program: b"as"h -c @
a program: $SHELL -c @
a program: sudo -u root bash -c @
a program: env -i bash -c @
a program: env -S @
a program: timeout 5 sh -c @
a program: nohup sh -c @
a program: flock /dev/null -c @
a program: su -c @
a program: su root -c @
a program: find . -exec sh -c @ \;
a program: echo | xargs sh -c @
a program: echo @ | xargs -I{} sh -c 'echo {}'
a program: ssh host @
a program: ssh -p 22 host echo @
a program: ssh -o ProxyCommand=@ host
a program: watch @
a program: bash <<<@
a program: echo @ | bash
a program: echo @ | cat | sh
a program: echo @ | sudo bash -s
a program: { echo @; } | bash
a program: echo @ | { bash; }
a program: echo @ | python3 -
a program: source /dev/stdin <<<@
a program: echo @ | source /dev/stdin
a program: source <(echo @)
a program: bash <(echo @)
a program: awk @ /dev/null
a program: awk -F : @ /dev/null
a program: awk 'BEGIN{print "'@'"}'
a program: sed @ /dev/null
a program: sed s/a/@/ /dev/null
a program: sed -n -e @ /dev/null
a program: sed -i s/a/@/ x
a program: sed --expression=@ /dev/null
a program: perl -e @
a program: perl -pe s/a/@/ /dev/null
a program: python3 -c @
a program: python3 -c 'print("'@'")'
a program: x=@; eval "$x"
a program: x=@; eval echo $x
a program: x=@; bash -c "echo $x"
a program: x=@; ssh host "rm $x"
a program: x=@; trap "echo $x" EXIT
a program: x=@; sed "s/a/$x/" /dev/null
a program: x=@; echo "$x" | bash
a program: x=@; bash <<<"$x"
a program: f() { eval "$1"; }; f @
a program: bash -c 'eval "$1"' _ @
PS4, which bash evaluates: PS4=@; set -x; true
PROMPT_COMMAND, which bash evaluates: PROMPT_COMMAND=@
BASH_ENV, which bash evaluates: export BASH_ENV=@
BASH_ENV, which bash evaluates: BASH_ENV=@ bash -c true
backticks: echo `echo @`
backticks: echo `echo "$(echo @)"`
quotes: echo "@"
quotes: echo '@'
quotes: echo "'@'"
shell code that cannot be read: echo $'a@'
quotes: echo $@
quotes: echo $"@"
quotes: echo "${x:-@}"
a pattern: [[ a =~ ^@$ ]]
the number of a redirection: echo @>f
the number of a redirection: echo a >&@
a comment: echo # @
shell code that cannot be read: echo \@
shell code that cannot be read: echo a \@
shell code that cannot be read: echo ${x:@}
shell code that cannot be read: echo ${!@}
"""
ACCEPTED = r"""
echo @
echo a@b
echo -n@
echo "a"@"b"
echo 'a'@'b'
echo \\@
echo ~@ [@] *@*
echo {1..@}
echo @ >out
echo a >@
cat <@
cat <<<@
cat <(echo @)
echo a | tee @
x=@; echo "$x"
x=@; printf '%d' "$x"
x=@; cat <<EOT; echo b
x=@; [ "$x" -eq 1 ]
x=@; [[ a == $x ]]
x=@; case $x in a) ;; esac
x=@; bash -c 'echo "$1"' _ "$x"
x=@; echo "${#x}" $(( ${#x} + 1 ))
x+=@
X=@ Y=@ env
export x=@ y=@
readonly x=@
f() { local x=@ y=(@ b); echo "$x"; }; f
a=(@ b @); a+=(@); echo "${a[1]}" "${#a[@]}"
declare -A m=([k]=@)
echo ${x:-@} ${y#@} ${z%@}
echo "$(echo @)" "$(echo "$(echo @)")"
[[ @ == a ]]
[[ a == @* && a < @ ]]
[[ a =~ @ ]]
[[ -n @ && -f @ ]]
[ @ = a ]
[ @ -eq 1 ]
case @ in a|@) ;; @*) ;; esac
for x in @ b; do echo "$x"; done
while [ a = @ ]; do break; done
if echo @; then :; elif [ @ = b ]; then :; fi
( echo @ ); { echo @; }; echo a && echo @
f() { echo "$1"; }; f @
time echo @
command echo @
@
@ a
@=b
a@=b
awk '{print}' @
awk -v x=@ 'BEGIN{print x}'
sed -e s/a/b/ @
find . -maxdepth 0 -name @
find . -maxdepth 0 -exec sh -c 'echo "$1"' _ @ \;
timeout 5 sh -c 'echo "$1"' _ @
env x=@ bash -c 'echo "$x"'
echo @ | xargs sh -c 'echo "$0"'
python3 -c 'import sys' @
ssh -p 22 @ true
read -r -p @ x </dev/null
set -- @; echo "$1"
sleep 0 || kill @
"""


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PATH without programs that reach other machines or accounts."""
    folder = tmp_path_factory.mktemp("tools")
    for tool in TOOLS:
        if found := shutil.which(tool):
            (folder / tool).symlink_to(found)
    (folder / "python3").symlink_to(Path(sys.executable).resolve())
    return folder


def template_of(shell: str) -> str:
    kept = shell.replace("[@]}", "\0")  # all elements of an array
    return kept.replace("@", "{{ v | sh }}").replace("\0", "[@]}")


def lines_of(text: str) -> list[str]:
    return [line for line in text.splitlines() if line]


def refusals(template: str, value: str) -> list[Mistake]:
    """What the check of the template says, or of the rendered script."""
    script = render_script(script_environment({"x.sh.j2": template}, "f"), "x.sh.j2", {"v": value})
    return unquoted(template, "f/x.sh.j2") or unquoted_in(script, {"x.sh.j2": template}, "f")


@pytest.mark.parametrize("line", lines_of(REFUSED))
def test_a_value_where_bash_evaluates_it_is_refused(line: str) -> None:
    place, _, shell = line.partition(": ")
    template = f"true\n{template_of(shell)}"
    (mistake,) = refusals(template, "text")
    assert (mistake.file, mistake.line, mistake.where) == ("f/x.sh.j2", 2, "{{ v | sh }}")
    assert f"inside {place}" in mistake.problem
    assert mistake.remedy


@pytest.mark.parametrize(
    "shell",
    [
        "cat <<EOF\n@\nEOF",
        "cat <<'EOF'\n@\nEOF",
        "cat <<-EOF\n\t@\nEOF",
        "cat <<EOF\n$(echo @)\nEOF",
        "cat <<EOF\n${x:-@}\nEOF",
        "cat <<@\na\n@",
    ],
)
def test_a_value_in_a_here_document_is_refused(shell: str) -> None:
    assert "here-document" in refusals(shell.replace("@", "{{ v | sh }}") + "\n", "text")[0].problem


@pytest.mark.parametrize("line", lines_of(ACCEPTED))
def test_a_value_that_is_a_word_is_accepted(line: str) -> None:
    assert refusals(template_of(line), "text") == []


@examples(40)
@given(
    st.lists(st.sampled_from(lines_of(ACCEPTED)), min_size=1, max_size=6),
    st.sampled_from(NASTY) | st.lists(st.sampled_from(NASTY), min_size=2, max_size=3).map("".join),
)
def test_no_value_runs_anything_in_a_script_that_is_accepted(
    tools: Path, lines: list[str], value: str
) -> None:
    template = template_of("\n".join(f"( {line.replace('EOT', '/dev/null')}\n)" for line in lines))
    assert_nothing_runs(tools, template, value)


@examples(60)
@given(
    st.lists(
        st.sampled_from([line.partition(": ")[2] for line in lines_of(REFUSED)])
        | st.sampled_from(lines_of(ACCEPTED)),
        min_size=1,
        max_size=3,
    ),
    st.lists(st.sampled_from(["'", '"', "$", "\\", "`", "#", "\n", "EOF\n", "((", "))", "{", ")"])),
    st.sampled_from(NASTY),
)
def test_no_value_runs_anything_whatever_stands_around_it(
    tools: Path, lines: list[str], around: list[str], value: str
) -> None:
    """Code that bash refuses, or that the grammar misreads, is tried too."""
    pieces = [*lines, *around]
    template = template_of("".join(f"{piece} " for piece in pieces))
    assert_nothing_runs(tools, template, value)


def assert_nothing_runs(tools: Path, template: str, value: str) -> None:
    try:
        refused = refusals(template, value)
    except ValueError:  # no template
        return
    if refused:
        return
    environment = script_environment({"x": template}, "f")
    script = render_script(environment, "x", {"v": value}).text()
    with TemporaryDirectory() as folder:
        (Path(folder) / "script").write_text(script)
        subprocess.run(
            (tools / "bash", "script"),
            cwd=folder,
            env={"PATH": str(tools), "HOME": folder},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        assert not (Path(folder) / CANARY).exists(), script


def test_what_an_include_stands_in_is_seen() -> None:
    texts = {"app/x.sh.j2": "echo \"{% include 'app/part' %}\"\n", "app/part": "\n{{ v | sh }}"}
    script = render_script(script_environment(texts, "f"), "app/x.sh.j2", {"v": "text"})
    (mistake,) = unquoted_in(script, texts, "f")
    assert (mistake.file, mistake.line, mistake.where) == ("f/app/part", 2, "{{ v | sh }}")


@pytest.mark.parametrize("q", [True, False])
def test_quotes_of_a_branch_count_where_the_branch_is_taken(q: bool) -> None:
    template = 'echo {% if q %}"{% endif %}{{ v | sh }}{% if q %}"{% endif %}\n'
    environment = script_environment({"x": template}, "f")
    script = render_script(environment, "x", {"v": "text", "q": q})
    assert bool(unquoted_in(script, {"x": template}, "f")) is q


@pytest.mark.parametrize(
    ("shell", "is_refused"),
    [
        ("a=(@)", False),
        ("echo @", False),
        ("for a in @; do :; done", False),
        ("a=@", True),
        ("echo >@", True),
        ("cat <<<@", True),
        ("echo a@", True),
    ],
)
def test_a_list_is_refused_where_one_word_belongs(shell: str, is_refused: bool) -> None:
    template = shell.replace("@", "{{ v.split() | sh }}")
    environment = script_environment({"x": template}, "f")
    script = render_script(environment, "x", {"v": "a reboot"})
    assert bool(unquoted_in(script, {"x": template}, "f")) is is_refused


@pytest.mark.parametrize(
    "template",
    [
        "(( {{ v | int | sh }} > 1 ))",
        'echo "{{ v | length | sh }}"',
        "x={{ v | int | sh }}; (( x > 1 ))",
        "# {{ v | int | sh }}",
    ],
)
def test_a_number_is_accepted_everywhere(template: str) -> None:
    assert refusals(template, "5") == []


@pytest.mark.parametrize(
    "template",
    [
        "(( {{ v | int('x') | sh }} ))",
        "{% filter upper %}{{ v | sh }}{% endfilter %}",
        "{% autoescape true %}echo {{ v | sh }}{% endautoescape %}",
        "{% include v %}",
        "{% print v %}",
        "{% print v | upper %}",
    ],
)
def test_what_goes_round_the_filter_is_refused(template: str) -> None:
    assert unquoted(template, "f")


def test_the_print_statement_is_an_expression_like_others() -> None:
    assert unquoted("{% print v | sh %}\n{{ v | sh }}", "f") == []
    (mistake,) = unquoted("true\n{% print v %} {{ v | sh }}", "f")
    assert (mistake.line, mistake.where) == (2, "{{ v }}")
