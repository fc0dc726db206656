#!/bin/sh
# Fetches what the starter designs are looked at with, and prints the folder it lies in: SpamAssassin and Chromium.
#
# The Debian packages are downloaded and unpacked into a cache folder, never installed. Needs apt-get and dpkg-deb on a
# Debian with package lists, no root. Once the cache is filled, no network is used.
#
# The cache is ${POSTROOM_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/postroom-test}.
# Exit codes: 0 done; 69 these packages cannot be had on this machine (the reason is on stderr).
set -eu
LC_ALL=C
export LC_ALL

unavailable() {
	echo "designs.sh: $*" >&2
	exit 69
}

for tool in apt-get dpkg-deb; do
	command -v "$tool" >/dev/null || unavailable "$tool is missing; this needs a Debian system"
done
cache=${POSTROOM_TEST_CACHE:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/postroom-test}
tree=$cache/designs-1
if [ -f "$tree/complete" ]; then
	echo "$tree"
	exit 0
fi
work=$tree.$$
trap 'rm -rf "$work"' EXIT
for package in spamassassin chromium; do
	mkdir -p "$work/debs"
	# What the machine lacks of it, with what it needs.
	names=$(apt-get install --print-uris -y --no-install-recommends "$package" 2>/dev/null | sed -n "s/^'[^']*' \([^_]*\)_.*/\1/p")
	[ -n "$names" ] || unavailable "$package is not among the package lists, or installed already; apt-get update may help"
	# shellcheck disable=SC2086
	(cd "$work/debs" && apt-get -qq -o APT::Sandbox::User=root -o Acquire::Retries=3 download $names >&2) || unavailable "$package could not be downloaded"
	for deb in "$work"/debs/*.deb; do dpkg-deb -x "$deb" "$work/$package"; done
	rm -rf "$work/debs"
done
touch "$work/complete"
rm -rf "$tree"
mv "$work" "$tree"
echo "$tree"
