
# Names of services and profiles, as this machine has them: _dayfly_names DIRECTORY SUFFIX
_dayfly_names() {
    local file
    for file in "$1"/*"$2"; do
        [[ -e $file ]] || continue
        file=${file##*/}
        printf '%s\n' "${file%"$2"}"
    done
}

_dayfly_with_names() {
    local cur=$2 prev=$3 names='' word
    _dayfly "$@"
    for word in "${COMP_WORDS[@]:0:COMP_CWORD}"; do
        # What follows is the handler's.
        [[ $word != -- ]] || return 0
    done
    case $prev in
        --profile) names="static interpreter tree $(_dayfly_names /etc/dayfly/profiles .profile)" ;;
        --service | --diff) names=$(_dayfly_names /etc/dayfly .toml) ;;
        -*) ;;
        *) case ${COMP_WORDS[1]} in
            run | serve | learn | check | explain | stats | top | unit)
                [[ $cur == -* ]] || names=$(_dayfly_names /etc/dayfly .toml) ;;
        esac ;;
    esac
    [[ -z $names ]] || COMPREPLY+=($(compgen -W "$names" -- "$cur"))
}
complete -F _dayfly_with_names -o bashdefault -o default dayfly
