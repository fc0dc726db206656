#!/bin/sh
# Fetches Postfix and Dovecot, or with the argument "exim" Exim or "opensmtpd" OpenSMTPD, for the tests and prints the folder they lie in.
#
# The Debian packages are downloaded and unpacked into a cache folder, never installed: they would replace a mail
# server that the machine already has. Shared libraries are added only where the machine lacks them. Needs
# apt-get, dpkg-deb and flock (all part of a minimal Debian), no root. Any number of callers may run at once. Once
# the cache is filled, no network is used.
#
# The cache is ${POSTROOM_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/postroom-test}.
# Exit codes: 0 done; 69 these packages cannot be had on this machine (the reason is on stderr).
set -eu
LC_ALL=C
export LC_ALL

case ${1:-} in
exim)
	packages="exim4-daemon-light libnss-wrapper"
	programs="usr/sbin/exim4"
	;;
opensmtpd)
	packages="opensmtpd libnss-wrapper"
	programs="usr/sbin/smtpd usr/sbin/smtpctl"
	;;
*)
	packages="postfix dovecot-core dovecot-imapd dovecot-lmtpd"
	programs="usr/lib/postfix/sbin/master usr/lib/postfix/sbin/smtpd usr/sbin/dovecot usr/bin/doveconf
		usr/lib/dovecot/auth usr/lib/dovecot/imap usr/lib/dovecot/imap-login usr/lib/dovecot/lmtp
		usr/lib/dovecot/modules/libssl_iostream_openssl.so"
	;;
esac
recipe=1 # raise it when the way a tree is made changes

unavailable() {
	echo "fetch.sh: $*" >&2
	exit 69
}

for tool in apt-get apt-cache dpkg dpkg-deb dpkg-query flock ldd; do
	command -v "$tool" >/dev/null || unavailable "$tool is missing; the test mail server needs a Debian system"
done
# shellcheck disable=SC1091
. /etc/os-release
arch=$(dpkg --print-architecture)
key=$(printf '%s' "$recipe $ID ${VERSION_ID:-rolling} $arch $packages" | sha256sum | cut -c1-12)
cache=${POSTROOM_TEST_CACHE:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/postroom-test}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd -P)
tree=$cache/debs-$key
work=$tree.new

# libpath prints the library folders of a tree, separated by colons.
libpath() {
	for dir in "$1"/usr/lib/*-linux-gnu* "$1"/lib/*-linux-gnu* "$1/usr/lib/dovecot" \
		"$1/usr/lib/dovecot/modules/old-stats" "$1/usr/lib/postfix"; do
		if [ -d "$dir" ]; then printf '%s:' "$dir"; fi
	done
}

# missing prints the shared libraries that the programs of a tree still lack on this machine.
missing() {
	for program in $programs; do
		if [ ! -f "$1/$program" ]; then echo "$program"; continue; fi
		LD_LIBRARY_PATH=$(libpath "$1") ldd "$1/$program" 2>/dev/null | sed -n 's/^[[:space:]]*\(.*\) => not found.*/\1/p'
	done | sort -u
}

exec 9>"$cache/debs-$key.lock"
flock -w 600 9 || unavailable "another fetch has held $cache/debs-$key.lock for ten minutes"

if [ -f "$tree/packages.txt" ] && [ -z "$(missing "$tree")" ]; then
	echo "$tree"
	exit 0
fi

# An ordinary user, or a machine without package lists, works with lists of its own beside the cache.
own_lists="-o Dir::State::lists=$cache/apt/lists -o Dir::Cache=$cache/apt/cache"
options="-qq -o APT::Sandbox::User=root -o Acquire::Retries=3"

# fetch OPTIONS downloads and unpacks the packages, and then, round by round, the libraries they depend on.
fetch() {
	rm -rf "$work"
	mkdir -p "$work/debs"
	want=$packages
	seen=" "
	while [ -n "$want" ]; do
		# shellcheck disable=SC2086
		(cd "$work/debs" && apt-get $options $1 download $want >&2) || return 1
		seen="$seen$want "
		want=
		for deb in "$work"/debs/*.deb; do
			dpkg-deb -x "$deb" "$work"
			dpkg-deb -W --showformat='${Package} ${Version} ${Architecture}\n' "$deb" >>"$work/packages.new"
			for name in $(dpkg-deb -f "$deb" Depends | tr ',' '\n' | sed 's/|.*//; s/(.*//; s/:any//'); do
				case $name in lib*) ;; *) continue ;; esac
				case "$seen$want " in *" $name "*) continue ;; esac
				if [ "$(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null)" != installed ]; then
					want="$want $name"
				fi
			done
			rm "$deb"
		done
	done
}

# The lists of the machine may be absent or older than the archive; fresh ones of our own settle both.
if ! fetch ""; then
	mkdir -p "$cache/apt/lists/partial" "$cache/apt/cache/archives/partial"
	# shellcheck disable=SC2086
	apt-get $options $own_lists update >&2 || unavailable "no package lists: apt-get update failed (no network?)"
	fetch "$own_lists" || unavailable "the packages could not be downloaded (no network?)"
fi
lacking=$(missing "$work")
[ -z "$lacking" ] || unavailable "not found after fetching:" $lacking

# Dovecot opens its modules (TLS among them) by a path that is built in. The same number of bytes makes it a path
# from the working folder of its processes, which is base_dir; a link of that name stands there at run time.
if [ -z "${1:-}" ]; then
	grep -rlZ -F /usr/lib/dovecot "$work/usr/lib/dovecot" "$work/usr/sbin/dovecot" "$work/usr/bin" |
		xargs -0 sed -i 's#/usr/lib/dovecot#./pr-lib-dovecot#g'
fi

rm -rf "$work/debs" "$work/usr/share" "$tree"
chmod -R a+rX "$work"
libpath "$work" | sed "s#$work/##g" >"$work/libpath.txt"
sort "$work/packages.new" >"$work/packages.txt" # last: it marks the tree as complete
rm "$work/packages.new"
mv "$work" "$tree"
rm -rf "$cache/apt" # lists of the whole archive: ten times the size of the tree
echo "$tree"
