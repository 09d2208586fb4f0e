# Names of services and profiles, as this machine has them.
(( $+functions[_dayfly_services] )) ||
_dayfly_services() {
    local -a names; names=(/etc/dayfly/*.toml(N:t:r))
    _alternative "services:service:($names)" 'files:file:_files -g "*.toml"'
}
(( $+functions[_dayfly_profiles] )) ||
_dayfly_profiles() {
    local -a names; names=(static interpreter tree /etc/dayfly/profiles/*.profile(N:t:r))
    _alternative "profiles:profile:($names)" 'files:file:_files -g "*.profile"'
}

