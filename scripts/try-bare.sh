#!/bin/sh
# Tries make targets the way a newcomer meets them: in a bare Debian 12 with nothing but Go, git and make, an empty home
# and a fresh clone of what is committed here. Needs root, debootstrap and the network; touches nothing outside FOLDER.
#
# Usage: scripts/try-bare.sh [--with-changes] FOLDER TARGET...      e.g. scripts/try-bare.sh /tmp/bare build test
#   --with-changes   take the changes in the work tree along that are not committed
# FOLDER is made when it does not exist and used again when it does; to start from nothing, remove it first. What runs in
# it has its own process tree and mounts, which end with the script.
# Exit codes: that of the first target that fails; 0 when all pass; 2 wrong usage.
set -eu
changes=
if [ "${1-}" = --with-changes ]; then
	changes=yes
	shift
fi
if [ $# -lt 2 ]; then
	sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
	exit 2
fi
if [ "$(id -u)" != 0 ]; then
	echo "try-bare: needs root, for chroot" >&2
	exit 1
fi
if ! command -v debootstrap >/dev/null; then
	echo "try-bare: needs debootstrap (apt-get install debootstrap)" >&2
	exit 1
fi
top=$(cd "$(dirname "$0")/.." && pwd)
folder=$1
shift

if [ ! -f "$folder/ready" ]; then
	debootstrap --variant=minbase --include=git,make,ca-certificates bookworm "$folder"
	cp /etc/resolv.conf "$folder/etc/"
	# Every installed system has this from its installer; debootstrap leaves it out.
	printf '127.0.0.1 localhost\n::1 localhost ip6-localhost\n' >"$folder/etc/hosts"
	# Where a firewall signs with an authority of its own, the machine's additions to the authorities are needed.
	if [ -n "$(ls -A /usr/local/share/ca-certificates 2>/dev/null)" ]; then
		cp /usr/local/share/ca-certificates/* "$folder/usr/local/share/ca-certificates/"
		chroot "$folder" update-ca-certificates
	fi
	cp -a "$(go env GOROOT)" "$folder/usr/local/go"
	chroot "$folder" apt-get clean
	rm -rf "$folder"/var/lib/apt/lists/*
	touch "$folder/ready"
fi

rm -rf "$folder/root" "$folder/src"
mkdir -m 700 "$folder/root"
git clone -q --no-hardlinks "$top" "$folder/src"
if [ -n "$changes" ]; then
	(cd "$top" && git ls-files -z --cached --others --exclude-standard |
		tar -c --null --ignore-failed-read -T - 2>/dev/null) | tar -x -C "$folder/src"
fi

for target in "$@"; do
	echo "== in a bare Debian: make $target"
	start=$(date +%s)
	# shellcheck disable=SC2016
	unshare --mount --pid --fork --kill-child sh -c '
		mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" &&
		exec chroot "$1" env -i HOME=/root PATH=/usr/local/go/bin:/usr/sbin:/usr/bin:/sbin:/bin ${CI:+CI=true} \
			make -C /src "$2"' try-bare "$folder" "$target" </dev/null
	echo "== make $target: passed after $(($(date +%s) - start)) s"
done
