# bash completion for PROGRAM. The program itself knows its commands, flags and names: it is asked for them.

_PROGRAM_complete() {
    local i word before rest=${COMP_LINE:0:COMP_POINT} words=() out directive cur candidate
    COMPREPLY=()
    # bash breaks words at the characters of COMP_WORDBREAKS, too (image:tag, --flag=value): what no blank separates is
    # one word again.
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        before=$rest
        rest=${rest#"${rest%%[![:space:]]*}"}
        [[ $i -eq $COMP_CWORD ]] && word=$rest
        if [[ ${#words[@]} -gt 0 && $before == "$rest" ]]; then
            words[${#words[@]} - 1]+=$word
        else
            words+=("$word")
        fi
        rest=${rest#"$word"}
    done
    cur=${words[${#words[@]} - 1]}
    out=$("${words[0]/#\~/$HOME}" __completeNoDesc "${words[@]:1}" 2>/dev/null) || return 0
    directive=${out##*:}
    out=${out%:*}
    # As cobra's: 1 is an error, 2 asks for no space after the word, 4 for no file names.
    ((directive & 1)) && return 0
    ((directive & 2)) && compopt -o nospace
    ((directive & 4)) && compopt +o default
    [[ $cur == -*=* ]] && cur=${cur#*=}
    local prefix=
    [[ $cur == *:* && $COMP_WORDBREAKS == *:* ]] && prefix=${cur%"${cur##*:}"}
    while IFS= read -r candidate; do
        [[ -n $candidate ]] && COMPREPLY+=("${candidate#"$prefix"}")
    done <<<"$out"
}

complete -o default -F _PROGRAM_complete PROGRAM
