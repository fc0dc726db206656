#!/bin/sh
# Installs nodemailer, at the version of the lockfile beside this script, into a cache folder and prints the folder;
# sender.mjs lies in it too. Any number of callers may run at once. Once the cache is filled, no network is used.
#
# The cache is ${POSTROOM_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/postroom-test}.
# Exit codes: 0 done; 69 it cannot be had on this machine (the reason is on stderr).
set -eu

unavailable() {
	echo "fetch.sh: $*" >&2
	exit 69
}

for tool in node npm flock; do
	command -v "$tool" >/dev/null || unavailable "$tool is missing; nodemailer is left out of the comparison"
done
here=$(cd "$(dirname "$0")" && pwd -P)
cache=${POSTROOM_TEST_CACHE:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/postroom-test}
mkdir -p "$cache"
tree=$cache/nodemailer-$(cat "$here/package-lock.json" "$here/sender.mjs" | sha256sum | cut -c1-12)
exec 9>"$tree.lock"
flock -w 600 9 || unavailable "another fetch has held $tree.lock for ten minutes"
if [ ! -d "$tree" ]; then
	rm -rf "$tree.new"
	mkdir "$tree.new"
	cp "$here/package.json" "$here/package-lock.json" "$here/sender.mjs" "$tree.new"
	(cd "$tree.new" && npm ci --ignore-scripts --no-audit --no-fund >&2) || unavailable "npm could not install it (no network?)"
	mv "$tree.new" "$tree" # last: it marks the tree as complete
fi
echo "$tree"
