#compdef PROGRAM
# zsh completion for PROGRAM. The program itself knows its commands, flags and names: it is asked for them.

_PROGRAM() {
    local out directive line value
    local -a candidates options
    out=$("${(Q)words[1]/#\~/$HOME}" __complete "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null) || return 1
    directive=${out##*:}
    out=${out%:*}
    # As cobra's: 1 is an error, 2 asks for no space after the word, 4 for no file names.
    (( directive & 1 )) && return 1
    (( directive & 2 )) && options+=(-S '')
    [[ $PREFIX == -*=* ]] && compset -P '*='
    for line in "${(@f)out}"; do
        [[ -z $line ]] && continue
        value=${line%%$'\t'*}
        candidates+=("${value//:/\\:}:${line#*$'\t'}")
    done
    if (( ${#candidates} )); then
        _describe -t PROGRAM PROGRAM candidates "${options[@]}"
    elif (( ! (directive & 4) )); then
        _files
    fi
}

# Sourced, it registers itself; from a directory of $fpath, it is the function's body.
if [[ ${funcstack[1]} == _PROGRAM ]]; then
    _PROGRAM "$@"
else
    compdef _PROGRAM PROGRAM
fi
