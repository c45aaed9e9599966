# Stands between the node and one container's process, so that the node may die and come back: records who it is, waits
# for the command, records its exit code. Usage: sh shim.sh STEM COMMAND [ARGUMENT...]
stem=$1
shift
# A builtin with a redirection runs in this very shell, so /proc/self is the shim.
read -r stat </proc/self/stat
read -r boot </proc/sys/kernel/random/boot_id
printf '%s\n%s\n' "$stat" "$boot" >"$stem.run"
# The group is signalled as a whole: the command decides, the shim only waits. A trapped signal is default in the command.
trap : TERM INT HUP QUIT
# The shell's own remarks ("Killed") do not belong into the container's log.
exec 3>&2 2>/dev/null
"$@" 2>&3 3>&-
printf '%s\n' "$?" >"$stem.exit"
