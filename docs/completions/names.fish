
# Names of services and profiles, as this machine has them: __fish_dayfly_names DIRECTORY SUFFIX
function __fish_dayfly_names
    for file in $argv[1]/*$argv[2]
        string replace --regex '^.*/(.*)\.[a-z]*$' '$1' -- $file
    end
end
for command in run serve learn check explain stats top unit
    complete -c dayfly -n "__fish_dayfly_using_subcommand $command" -a "(__fish_dayfly_names /etc/dayfly .toml)" -d service
end
for command in run serve learn check explain
    complete -c dayfly -n "__fish_dayfly_using_subcommand $command" -l service -r -a "(__fish_dayfly_names /etc/dayfly .toml)"
    complete -c dayfly -n "__fish_dayfly_using_subcommand $command" -l profile -r -a "static interpreter tree (__fish_dayfly_names /etc/dayfly/profiles .profile)"
end
