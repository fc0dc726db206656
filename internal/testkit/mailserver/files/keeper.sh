# Keeps one private Postfix and Dovecot: starts both, waits until its standard input ends, and leaves no process behind.
# The input is a pipe held by the test process, so the servers end with it even when it crashes or is killed.
# Called as the leader of a session of its own, which every process below it stays in.
# Arguments: RUN (folder of this server), TREE (folder of the unpacked packages), LIBRARIES (their library folders,
# separated by colons), KEEP ("keep" or "remove" RUN at the end).
run=$1 tree=$2 libraries=$3 keep=$4

# members sets left to the processes of this session, without this shell. (A subshell would count itself.)
members() {
	left=
	for stat in /proc/[0-9]*/stat; do
		{ read -r line <"$stat"; } 2>/dev/null || continue
		pid=${line%% *}
		# After the name in brackets, which may hold anything: state, parent, group, session.
		set -- ${line##*) }
		if [ "$4" = "$$" ] && [ "$pid" != "$$" ] && [ "$1" != Z ]; then left="$left $pid"; fi
	done
}

finish() {
	trap '' TERM INT HUP
	for round in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		members
		[ -n "$left" ] || break
		# A process that has gone by itself meanwhile is no failure.
		for pid in $left; do kill -9 "$pid" 2>/dev/null; done
		sleep 0.02
	done
	if [ "$keep" = remove ]; then rm -rf "$run"; fi
	exit 0
}
trap finish TERM INT HUP

(
	cd "$run/dovecot/run" || exit 1
	LD_LIBRARY_PATH=$libraries; export LD_LIBRARY_PATH
	# doveconf reads the configuration, then becomes the master; called directly because dovecot looks for it in /usr/bin.
	"$tree/usr/bin/doveconf" -f service=master -c "$run/dovecot/dovecot.conf" -m master \
		-e "$tree/usr/sbin/dovecot" -F -c "$run/dovecot/dovecot.conf"
	echo "dovecot ended with $?" >>"$run/log/ended"
) </dev/null >>"$run/log/out" 2>&1 &

(
	# smtpd gives up for good when it finds no sign-in service, so Dovecot comes first.
	round=0
	while [ ! -S "$run/queue/private/auth" ] && [ $round -lt 1000 ]; do
		round=$((round + 1))
		sleep 0.02
	done
	LD_LIBRARY_PATH=$libraries; export LD_LIBRARY_PATH
	if [ -f "$run/asroot.so" ]; then LD_PRELOAD=$run/asroot.so; export LD_PRELOAD; fi
	"$tree/usr/lib/postfix/sbin/master" -d -c "$run/etc"
	echo "postfix ended with $?" >>"$run/log/ended"
) </dev/null >>"$run/log/out" 2>&1 &

while read -r _; do :; done
finish
