# fish completion for PROGRAM. The program itself knows its commands, flags and names: it is asked for them.

function __PROGRAM_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l out ($words[1] __complete $words[2..] "$current" 2>/dev/null)
    or return
    set -l directive (string replace --regex '^.*:' '' -- $out[-1])
    set -l candidates $out[1..-2]
    # As cobra's: 1 is an error, 4 asks for no file names.
    test (math "bitand($directive, 1)") -ne 0; and return
    if test (count $candidates) -gt 0
        # fish wants the whole word, the flag before its value included.
        set -l prefix (string match --regex -- '^-.*?=' $current)
        printf '%s\n' "$prefix"$candidates
    else if test (math "bitand($directive, 4)") -eq 0
        __fish_complete_path $current
    end
end

complete --command PROGRAM --no-files --keep-order --arguments '(__PROGRAM_complete)'
